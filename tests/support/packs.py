"""A job that several runs share, as its tests start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from runferry.runs.pack import Pack
from support.attempt_files import attempts_of
from support.launching import make_run, wait_for


class PackOf:
    """A pack of runs in a folder, with a shell script for each."""

    def __init__(self, folder: Path, *scripts: str, **pack) -> None:
        names = [f"run{number}" for number in range(len(scripts))]
        self.runs = [
            make_run(folder / "a" / name, ["sh", "-c", script], id=name)
            for name, script in zip(names, scripts, strict=True)
        ]
        self.folder = folder / "a" / "packs" / "p"
        given = {"side_by_side": 1, "gpus": 0, "seconds": None, "runs": dict.fromkeys(names, 0), **pack}
        Pack(**given).write(self.folder / "runs.json")

    def start(self, **variables: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "CUDA"))}
        return subprocess.Popen(
            [sys.executable, "-m", "runferry", "launch-pack", str(self.folder)],
            env=environment | variables,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, **variables: str) -> tuple[int, str]:
        pack = self.start(**variables)
        _, errors = pack.communicate(timeout=60)
        return pack.returncode, errors

    @property
    def outcomes(self) -> list[list[str]]:
        return [[attempt["outcome"] for attempt in attempts_of(run)] for run in self.runs]

    @property
    def done(self) -> dict[str, int] | None:
        file = self.folder / "done.json"
        return json.loads(file.read_text())["runs"] if file.exists() else None

    def wait_until_ready(self, *runs: int) -> None:
        for number in runs:
            wait_for((self.runs[number].path / "ready").exists, f"run {number}")
