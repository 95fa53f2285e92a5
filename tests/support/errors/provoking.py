"""What the table of errors (test_errors_table.py) is made of: rows, and the place that each is provoked in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runferry.config import loading
from runferry.config.cluster import Cluster, find_cluster
from runferry.config.experiment import Experiment
from runferry.config.experiments import experiments
from runferry.config.run import RunDefinition
from runferry.system.files import write_json
from support.paths import SCHEMA


@dataclass(frozen=True)
class World:
    """Where an error is provoked."""

    tmp: Path
    patch: pytest.MonkeyPatch

    def file(self, name: str, content: str | bytes = "") -> Path:
        """Write a file."""
        file = self.tmp / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def program(self, name: str, script: str = "exit 0") -> Path:
        """Write a program, alone on PATH but for a shell's."""
        program = self.file(f"bin/{name}", f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        self.patch.setenv("PATH", str(program.parent))
        return program

    def run(self, attempts: list[dict[str, Any]] | None = None, **more: Any) -> Path:
        """Write a run's folder, `results/e/r`."""
        folder = self.tmp / "results" / "e" / "r"
        wandb = {"project": "p", "base_url": "http://127.0.0.1:1"}
        write_json(folder / "run.json", {"id": "r", "name": "r", "wandb": wandb, "nodes": 2, "parameters": {}, **more})
        for number, attempt in enumerate(attempts or [], start=1):
            usual = {"attempt": number, "outcome": "failed", "signal": None, "exit_code": 1, "reason": "failed"}
            write_json(folder / "attempts" / f"{number}.json", {**usual, "host": "n", **attempt})
        return folder

    @property
    def pipe(self) -> Path:
        """A folder where a file is wanted: it is there, and cannot be read."""
        folder = self.tmp / "run-x.wandb"
        folder.mkdir(exist_ok=True)
        return folder


@dataclass(frozen=True)
class Row:
    """One row of the table: a place that raises, and what makes it do so."""

    module: str
    words: str
    """A part of the message that no other place of the module has."""
    provoke: Callable[[World], Any] | None
    finding: bool = False
    """Whether it is what `runferry doctor` has found, beside which the finding says what was expected."""
    test: str = ""
    """Where the error needs more than a row can have: the test that provokes it, as `tests/...py::test_...`."""

    def __str__(self) -> str:
        return f"{self.module}: {self.words}"


def elsewhere(module: str, words: str, test: str) -> Row:
    """Name the test that provokes an error."""
    return Row(module, words, None, test=test)


def made(sections: dict[str, Any] | None = None, **rest: Any) -> dict[str, Experiment]:
    """Make the experiments of a config."""
    given = {"wandb": {"project": "p"}, "experiments": sections or {"e": {"command": ["true"]}}, **rest}
    return experiments(loading.validate(given, SCHEMA))


def one(**given: Any) -> Experiment:
    """Make an experiment without a config."""
    usual: dict[str, Any] = {"cores": None, "gpus": 0, "gpu": None, "memory": None, "time": 60}
    runs = {"r": RunDefinition("r", "", {}, ("true",))}
    return Experiment(name="e", workdir=Path(), runs=runs, tracker_settings={}, environment=None, **{**usual, **given})


def cluster(name: str) -> Cluster:
    """Find a cluster's facts."""
    return find_cluster(name)
