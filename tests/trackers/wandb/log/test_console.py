"""What a run printed: every line is on the server once, however the run came there."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path

import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.wandb.live import Watcher
from runferry.sync.wandb.live_run import LiveOptions
from runferry.system.files import write_json
from runferry.trackers.wandb.log.console import console_lines
from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from runferry.trackers.wandb.log.records import count_events
from runferry_standin import running
from support.limits import within
from support.written_runs import PROJECT, log_of

QUICK = within(2, 60)
RUN = "run1"
NEWEST = installed_version("wandb")
pytestmark = pytest.mark.usefixtures("connected")

# Two bars as tqdm draws them, colours, a line that is longer than wandb keeps, one that is never ended.
SCRIPT = r"""
import sys, time, wandb
run = wandb.init()
for step in range(30):
    print("line", step)
    if step % 7 == 0:
        print("to stderr", step, file=sys.stderr)
    run.log({"loss": step})
for part in range(12):
    print(f"\router {part}\n\rinner {part}\x1b[A", end="", flush=True)
print("\n\n\x1b[32mgreen\x1b[0m \x1bM é😀")
print("x" * 5000)
print("\n" * 40 + "\x1b[A" * 35 + "too far up\x1b[B\x1b[B\x1b[B")
print("epoch 1:  10%", end="")
time.sleep(0.5)
run.finish(int(sys.argv[1]))
"""


@dataclass
class Printed:
    """Two attempts of one run, and what the server has of them after one `wandb sync` of both."""

    folder: RunFolder
    lines: list[str]
    console_file: dict

    def copied_to(self, results: Path) -> RunFolder:
        """Copy the run."""
        shutil.copytree(self.folder.path, results / "experiment" / RUN, symlinks=True)
        return RunFolder(results / "experiment" / RUN)

    def cut_off(self, folder: Path, number: int, records: int) -> list[Path]:
        """Give the segments before `number` whole, and of that one so many records."""
        segments = self.folder.segments()[: number + 1]
        copies = [folder / "wandb" / segment.name for segment in segments]
        for segment, copy in zip(segments, copies, strict=True):
            log = next(segment.glob("*.wandb"))
            read = list(TransactionLog(log))
            write_log(copy / log.name, read[:records] if segment == segments[-1] else read)
        return copies


@pytest.fixture(scope="module", params=["0.22.3", "0.27.2", NEWEST])
def printed_by_each(request, wandb_python, tmp_path_factory) -> Printed:
    return _print(wandb_python(request.param), tmp_path_factory.mktemp("printed"))


@pytest.fixture(scope="module")
def printed(wandb_python, tmp_path_factory) -> Printed:
    return _print(wandb_python(NEWEST), tmp_path_factory.mktemp("printed"))


def _print(python: Path, place: Path) -> Printed:
    folder = RunFolder(place / "results" / "experiment" / RUN)
    named = {"project": PROJECT, "entity": None, "base_url": None}
    write_json(folder.run_file, {"id": RUN, "name": RUN, "wandb": named})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {
        "HOME": str(folder.path),
        "WANDB_DIR": str(folder.path),
        "WANDB_PROJECT": PROJECT,
        "WANDB_RESUME": "allow",
        "WANDB_ERROR_REPORTING": "false",
        # System metrics, which are to be there once, too.
        "WANDB_X_STATS_SAMPLING_INTERVAL": "0.1",
    }
    for exit_code in ("1", "0"):
        words = [python, "-c", SCRIPT, exit_code]
        offline = environment | {"WANDB_MODE": "offline", "WANDB_RUN_ID": RUN}
        subprocess.run(words, env=offline, cwd=folder.path, capture_output=True, timeout=60, check=True)
        time.sleep(1)
    assert len(folder.segments()) == 2
    assert all(count_events(log_of(folder, number)) > 1 for number in (0, 1))
    write_json(folder.trained_file, {})
    shutil.copytree(folder.wandb_folder, place / "synced", symlinks=True)
    with running() as server:
        _wandb_sync(sorted((place / "synced").glob("offline-run-*")), environment | server.environment)
        return Printed(folder, _lines(server), _console_file(server))


def _wandb_sync(segments: list[Path], environment: dict[str, str]) -> None:
    words = [sys.executable, "-m", "wandb", "sync", *map(str, segments)]
    subprocess.run(words, env=environment, cwd=segments[0], capture_output=True, timeout=60, check=True)


def _lines(server) -> list[str]:
    """What the server has, without the time, which `wandb sync` takes from its own clock."""
    held = server.run("demo", PROJECT, RUN)["output"]
    return [re.sub(r"\d{4}-\d\d-\d\dT[\d:]+\.\d{6} ", "", line, count=1) for line in held]


def _console_file(server) -> dict:
    """Size and MD5 of what can be downloaded."""
    return next(file for file in server.run("demo", PROJECT, RUN)["files"] if file["name"] == "output.log")


def test_lines_are_made_of_what_was_written_as_the_client_makes_them(printed_by_each):
    found = [line for number in (0, 1) for line in console_lines(log_of(printed_by_each.folder, number))]
    assert [line.prefix + line.text for line in found] == printed_by_each.lines
    assert "inner 11" in printed_by_each.lines
    assert len(found[0].as_sent().split(" ")[0]) == len("2026-01-01T00:00:00.000000")


def _is_whole(server, printed: Printed, folder: RunFolder) -> None:
    assert [outcome.problem for outcome in sync([folder], QUICK)] == [None]
    assert _lines(server) == printed.lines
    assert not folder.resent_folder.exists(), "copies are removed"
    held = server.run("demo", PROJECT, RUN)
    assert held["state"] == "finished"
    assert len(held["history"]) == 60
    assert held["events_count"] == sum(count_events(log_of(folder, number)) for number in (0, 1))
    assert _console_file(server) == printed.console_file


@pytest.mark.parametrize(("segment", "records"), [(0, 0.5), (0, 0.99), (1, 0.3)])
def test_a_sync_that_was_stopped_is_completed_with_every_line_once(printed, server, tmp_path, segment, records):
    _completes(printed, server, tmp_path, segment, records)


def test_with_segments_of_each_version(printed_by_each, server, tmp_path):
    _completes(printed_by_each, server, tmp_path, 0, 0.8)


def _completes(printed: Printed, server, tmp_path, segment: int, part: float) -> None:
    folder = printed.copied_to(tmp_path / "results")
    before = [file.read_bytes() for file in folder.path.glob("wandb/*/files/output.log")]
    records = round(part * sum(1 for _ in TransactionLog(log_of(folder, segment))))
    _wandb_sync(printed.cut_off(tmp_path / "stopped", segment, records), dict(os.environ))
    assert 0 < len(_lines(server)) <= len(printed.lines)
    _is_whole(server, printed, folder)
    assert [file.read_bytes() for file in folder.path.glob("wandb/*/files/output.log")] == before


def test_attempts_that_are_synced_one_by_one(printed, server, tmp_path):
    folder = printed.copied_to(tmp_path / "results")
    second = folder.segments()[1]
    second.rename(tmp_path / second.name)
    assert [outcome.problem for outcome in sync([folder], QUICK)] == [None]
    (tmp_path / second.name).rename(second)
    _is_whole(server, printed, folder)


@pytest.mark.parametrize("first", ["not synced", "synced"])
def test_after_live_sync_which_sends_rows_only(printed, server, tmp_path, first):
    folder = printed.copied_to(tmp_path / "results")
    if first == "synced":
        second = folder.segments()[1]
        second.rename(tmp_path / second.name)
        assert [outcome.problem for outcome in sync([folder], QUICK)] == [None]
        (tmp_path / second.name).rename(second)
    before = _lines(server) if first == "synced" else []
    folder.trained_file.unlink()
    record = {"attempt": 2, "host": socket.gethostname(), "job": None, "pid": os.getpid(), "outcome": "running"}
    write_json(folder.attempts_folder / "2.json", record)
    old = time.time() - 60
    os.utime(log_of(folder), (old, old))
    Watcher(lambda: [folder], LiveOptions(interval=0.2), print).look()
    assert len(server.run("demo", PROJECT, RUN)["history"]) == 60
    assert _lines(server) == before
    write_json(folder.attempts_folder / "2.json", record | {"outcome": "finished"})
    write_json(folder.trained_file, {})
    _is_whole(server, printed, folder)
