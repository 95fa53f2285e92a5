"""Projects for the tests, each in a folder of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.projects import Project

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    # A key or an account of the person who runs the tests must not reach them.
    for name in list(os.environ):
        if name.startswith(("WANDB_", "SLURM_", "SBATCH_", "CC_", "SNAKEMAKE_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    return Project(tmp_path, {"HOME": str(home)})


@pytest.fixture
def grid() -> Callable[..., dict]:
    """A sweep over whole numbers, as it is written in place."""

    def make(count: int, command: list[str] | None = None) -> dict:
        parameters = {"n": {"values": list(range(count))}}
        return {"method": "grid", "parameters": parameters, "command": command or ["true", "${args}"]}

    return make
