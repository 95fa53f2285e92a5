"""A run that trains: its log grows as a test says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

import pytest

from runferry.runs.folder import RunFolder
from runferry.system.files import write_json
from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from support.written_runs import PROJECT, log_of, write_run

if TYPE_CHECKING:
    from pathlib import Path

NEWEST = installed_version("wandb")


@pytest.fixture(scope="module")
def trained(wandb_python, tmp_path_factory):
    """A finished run of 60 rows with files, whose log a test lets grow as wandb would."""
    folder = RunFolder(tmp_path_factory.mktemp("trained") / "results" / "experiment" / "run1")
    write_run(wandb_python(NEWEST), folder, 60)
    return folder


class Growing:
    """A run that trains: its log is a finished run's, as far as it has been written."""

    def __init__(self, trained: RunFolder, results: Path, run: str = "run1") -> None:
        self.folder = RunFolder(results / "experiment" / run)
        self.source = log_of(trained)
        self.content = _renamed(self.source, results / f"{run}.wandb", run)
        run_record = json.loads(trained.run_file.read_text())
        write_json(self.folder.run_file, run_record | {"id": run})
        self.segment = self.folder.wandb_folder / trained.segments()[0].name.replace("run1", run)
        self.segment.mkdir(parents=True)
        (self.segment / "files").symlink_to((trained.segments()[0] / "files").resolve())
        self.log = self.segment / f"run-{run}.wandb"
        self.log.touch()
        self.attempt("running")

    def grow(self, part: float) -> None:
        with self.log.open("r+b") as file:
            file.write(self.content[: int(len(self.content) * part)])

    def attempt(self, outcome: str, reason: str | None = None, *, pid: int | None = None) -> None:
        record = {"attempt": 1, "host": socket.gethostname(), "job": None, "pid": pid or os.getpid()}
        write_json(self.folder.attempts_folder / "1.json", record | {"outcome": outcome, "reason": reason})

    def finish(self) -> None:
        self.grow(1)
        self.attempt("finished")
        write_json(self.folder.trained_file, {})


def _renamed(log: Path, copy: Path, run: str) -> bytes:
    """The log of another run with the same rows."""
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportAttributeAccessIssue] - made at run time

    def records():
        for payload in TransactionLog(log):
            record = Record.FromString(payload)
            if record.HasField("run"):
                record.run.run_id = run
            yield record.SerializeToString()

    write_log(copy, records())
    content = copy.read_bytes()
    copy.unlink()
    return content


def state(server) -> str:
    return server.run("demo", PROJECT, "run1")["state"]


def steps(server) -> list[int]:
    return [row["_step"] for row in server.run("demo", PROJECT, "run1")["history"]]


@pytest.fixture
def command(tmp_path):
    started = []

    def start(*more: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "runferry", "sync", "--watch", "--interval", "0.2", *more]
        process = subprocess.Popen([*words, str(tmp_path / "results")], stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
