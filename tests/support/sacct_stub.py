"""A sacct of a test's own, which prints what a real one printed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from runferry.report.attempts import report_attempt
from runferry.report.model import RunReport
from runferry.runs.attempt_record import AttemptRecord
from runferry.system.records import from_json

if TYPE_CHECKING:
    from pathlib import Path


# In the form of sacct --parsable2, with what no short job has; tests/cluster/test_job_usage.py asks a real one.
LINES = """\
7|COMPLETED|2026-03-01T10:00:00|2026-03-01T11:00:00|3600|180|billing=12,cpu=12,gres/gpu:a100=1,gres/gpu=1,mem=124G,node=1||11:30:05|
7.batch|COMPLETED|2026-03-01T10:00:00|2026-03-01T11:00:00|3600||cpu=12,mem=124G,node=1|204800K|00:05.100|1
7.0|COMPLETED|2026-03-01T10:00:01|2026-03-01T11:00:00|3599||cpu=12,mem=124G,node=1|6291456K|11:30:00|1
7.1|COMPLETED|2026-03-01T10:00:02|2026-03-01T11:00:00|3598||cpu=12,mem=124G,node=1|2097152K|11:00:00|4
8|RUNNING|2026-03-01T10:00:00|Unknown|60|UNLIMITED|cpu=2,mem=4G,node=1||00:00:00|
9|CANCELLED by 1000|2026-03-01T10:00:00|2026-03-01T10:01:00|60|UNLIMITED|cpu=2,mem=4G,node=1||1-00:00:01|
""".splitlines()


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sacct that prints LINES and writes down what it was asked."""
    program, log = tmp_path / "bin" / "sacct", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$@\" >>{log}\ncat <<'end'\n" + "\n".join(LINES) + "\nend\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return log


def run_of(job: str, start: str, name: str = "one") -> RunReport:
    built = datetime(2026, 3, 2, tzinfo=UTC)
    record = {"outcome": "finished", "job": job, "start": start, "end": "2026-03-01T11:00:00+00:00"}
    attempt = report_attempt(1, from_json(AttemptRecord, record, "1.json"), built)
    return RunReport(id=name, name=name, state="finished", attempts=[attempt])
