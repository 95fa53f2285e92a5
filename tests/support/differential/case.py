"""The scripts of the differential test: each is one file in `scripts/`, whose first lines say how it is run.

A script is what a user might have. What it says of itself stands in its docstring; lines that begin with `#:` are TOML:

    #: jobs = [["--seed", "1"], ["--seed", "2"]]   its arguments, once for each job; by default one job without any
    #: command = ["bash", "-c", "{python} {script} a; {python} {script} b"]   where it is not `{python} {script}`
    #: exit_codes = [3]                of each start, where it is not 0
    #: attempts = 2                    it is started so often in the same run (RUNFERRY_ATTEMPT counts)
    #: environment = {NAME = "value"}  variables of the user's shell
    #: wandb = "0.27"                  the first version of wandb that can run it; by default every supported one
    #: own_online = true               what it makes online is not the same with every version of wandb
    #: oldest = false                 left out with the oldest version, unless the whole is wanted
    #: alone = true                    it is synced by a `runferry sync` of its own
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from support.paths import ROOT

SCRIPTS = ROOT / "tests" / "launch" / "differential" / "scripts"
HELPER = "truth.py"
"""What scripts import to write down what they logged."""


@dataclass(frozen=True)
class Case:
    """A script and how it is run; see above."""

    name: str
    about: str
    jobs: list[list[str]] = field(default_factory=lambda: [[]])
    command: list[str] = field(default_factory=lambda: ["{python}", "{script}"])
    exit_codes: list[int] = field(default_factory=list)
    attempts: int = 1
    environment: dict[str, str] = field(default_factory=dict)
    wandb: str = "0"
    own_online: bool = False
    oldest: bool = True
    alone: bool = False

    def runs_with(self, version: str) -> bool:
        """Tell whether a version of wandb has what the script calls."""
        return _numbers(version) >= _numbers(self.wandb)

    def expected_exit_codes(self) -> list[int]:
        """Return what each start ends with."""
        return self.exit_codes or [0] * (len(self.jobs) * self.attempts)

    def words(self, python: Path, script: Path, job: list[str]) -> list[str]:
        """Return the command of one of its jobs."""
        return [word.format(python=python, script=script) for word in self.command] + job


def cases() -> list[Case]:
    """Read all scripts, sorted by their names."""
    return [_read(file) for file in sorted(SCRIPTS.glob("*.py")) if file.name != HELPER]


def _read(file: Path) -> Case:
    text = file.read_text()
    settings = "\n".join(line.removeprefix("#:") for line in text.splitlines() if line.startswith("#:"))
    about = ast.get_docstring(ast.parse(text)) or ""
    return Case(file.stem, about, **tomllib.loads(settings))


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
