"""The wandb-core of each version of wandb."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.launching import WANDB_VERSIONS


@pytest.fixture(params=WANDB_VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def python(version, wandb_python):
    return wandb_python(version)


def ask(python: Path, code: str) -> bytes:
    return subprocess.run([python, "-c", code], capture_output=True, check=True).stdout
