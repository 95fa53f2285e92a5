"""A job on a compute node whose run is online."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from runferry.runs.folder import RunFolder
from runferry.system.files import write_json

if TYPE_CHECKING:
    from pathlib import Path


SCRIPT = """
import os, pathlib, signal, sys, time
import wandb
run = wandb.init()
for step in range(20):
    run.log({{"loss": step / 2}})
{more}
# The end of the training, for the test's clock: a file, whose time is the filesystem's.
pathlib.Path("trained").touch()
{end}
"""
MORE = {
    "metrics": "",
    "saved file": "pathlib.Path('note.txt').write_text('x'); run.save('note.txt')",
    "media": "run.log({'a/b/c': wandb.Html('<p>x</p>')})",
    "tables": "for n in range(5): run.log({f't{n}': wandb.Table(columns=['a'], data=[[n]])})",
    "artifact": "a = wandb.Artifact('m', type='model'); pathlib.Path('w').write_text('w'); a.add_file('w'); "
    "run.log_artifact(a)",
}


class Job:
    """A run and the environment of a job on this machine."""

    def __init__(self, folder: Path, python: Path, environment: dict[str, str]) -> None:
        self.folder = RunFolder(folder / "results" / "digits" / "run1")
        self._python = python
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("WANDB_", "SLURM_"))}
        own = {"HOME": str(folder), "WANDB_ERROR_REPORTING": "false", "NO_PROXY": "127.0.0.1"}
        self.environment = inherited | own | environment
        self._workdir = folder

    def run(self, more: str = "", end: str = "run.finish()", **wandb: object) -> tuple[int, str, float | None]:
        """Return the launcher's exit code, what it said, and how long after the training it ended (s)."""
        (self._workdir / "train.py").write_text(SCRIPT.format(more=more, end=end))
        record = {"project": "digits", "entity": None, "group": "digits", "tags": [], "mode": "online", **wandb}
        write_json(
            self.folder.run_file,
            {
                "id": "run1",
                "name": "run1",
                "command": [str(self._python), "train.py"],
                "workdir": str(self._workdir),
                "environment": None,
                "wandb": record,
            },
        )
        trained = self._workdir / "trained"
        trained.unlink(missing_ok=True)
        command = [sys.executable, "-m", "runferry", "launch", str(self.folder.path)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=200)
        after = time.time() - trained.stat().st_mtime if trained.exists() else None
        return done.returncode, done.stderr, after


def losses_of(held: dict) -> list[float]:
    return [row["loss"] for row in held["history"] if "loss" in row]
