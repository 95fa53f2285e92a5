"""Scripts that log to W&B, and what they left in a segment."""

from __future__ import annotations

from pathlib import Path

import pytest

from runferry.trackers.wandb.log.framing import TransactionLog
from runferry.trackers.wandb.log.messages import parser
from runferry.trackers.wandb.log.segment import history
from support.launching import (
    WANDB_VERSIONS,
)

LOG_TEN = """
import os, signal, sys, time
import wandb
run = wandb.init()
for step in range(10):
    run.log({"loss": step / 2})
print("pid", os.getpid())
print("logged ten")
"""


@pytest.fixture(params=WANDB_VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def python(version, wandb_python):
    return str(wandb_python(version))


def values(segment: Path, name: str = "loss") -> list[float]:
    return [row[name] for row in history(segment) if name in row]


def exit_codes(segment: Path) -> list[int]:
    """Of all exit records in a segment: there must be one."""
    (log,) = segment.glob("run-*.wandb")
    records = [parser("Record")(record) for record in TransactionLog(log)]
    return [record.exit.exit_code for record in records if record.HasField("exit")]
