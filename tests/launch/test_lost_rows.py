"""Rows that were logged and are not on the disk: the launcher counts them, the run is not done, the sync says it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runferry.trackers.wandb.log.segment import history, read_segment
from support.attempt_files import attempts_of
from support.launching import WANDB_VERSIONS, lines, make_run, run_to_end, running_descendants, start, wait_for_line

# wandb-core's file may not grow for a while: its writes fail as on a full disk, and as there others go on.
FULL_FOR_A_WHILE = """
import os, resource, time
from pathlib import Path
import wandb

run = wandb.init()
(core,) = [int(each.name) for each in Path("/proc").glob("[0-9]*") if (each / "comm").read_text() == "wandb-core\\n"
           and f"RUNFERRY_RUN_FOLDER={os.environ['RUNFERRY_RUN_FOLDER']}".encode() in (each / "environ").read_bytes()
           and any("run-" in os.readlink(file) for file in (each / "fd").iterdir())]
(log,) = Path(run.dir).parent.glob("run-*.wandb")

def log_rows(begin, end):
    for value in range(begin, end):
        run.log({"value": value, "text": "x" * 200})

log_rows(0, 1000)
while log.stat().st_size < 200_000:
    time.sleep(0.05)
_, hard = resource.prlimit(core, resource.RLIMIT_FSIZE, (log.stat().st_size, resource.RLIM_INFINITY))
log_rows(1000, 2000)
print("last", run.summary["value"], flush=True)
time.sleep(3)
resource.prlimit(core, resource.RLIMIT_FSIZE, (hard, hard))
log_rows(2000, 3100)
run.finish()
print("finished", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", [WANDB_VERSIONS[0], WANDB_VERSIONS[-1]])
def test_a_disk_that_was_full_for_a_while_is_said_and_gives_no_receipt_unasked(tmp_path, wandb_python, server, version):
    folder = make_run(tmp_path / "results" / "digits" / "k3j9", [str(wandb_python(version)), "-c", FULL_FOR_A_WHILE])
    code, errors = run_to_end(folder)
    # The script itself has noticed nothing.
    assert "finished" in lines(folder)
    (segment,) = folder.segments()
    held = len(list(history(segment)))
    assert 100 < held < 2000
    assert code == 1
    said = (
        f"W&B run k3j9: {held:,} of 3,100 rows logged are on the disk ({segment}/run-k3j9.wandb; wandb-core could not"
    )
    assert (
        f"k3j9 failed with exit code 1: rows are missing: {said} write more: file too large)" in errors.splitlines()[0]
    )
    (attempt,) = attempts_of(folder)
    assert attempt["outcome"] == "failed"
    assert attempt["rows"] == {segment.name: 3100}
    assert [line.startswith(said) for line in attempt["missing"]] == [True]
    assert not folder.trained_file.exists()

    lost = f"{3100 - held:,} of the 3,100 rows of {segment.name} (attempt 1) were logged and are not on the disk"
    code, printed = _sync(folder, server)
    assert code != 0
    assert f"not verified: {lost}; what is gone for good no sync can bring: sync.accept_missing: true" in printed
    assert not folder.receipt_file.exists()
    assert len(server.run("demo", "digits", "k3j9")["history"]) == held
    code, printed = _sync(folder, server, "--accept-missing")
    assert code == 0, printed
    assert json.loads(folder.receipt_file.read_text())["missing"] == [lost]


def _sync(folder, server, *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "runferry", "sync", folder.path, "--patience", "3", *options],
        env={**os.environ, **server.environment, "WANDB_ERROR_REPORTING": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout


EVERY_WAY = """
import os, threading, wandb

def numbers(run, count, **more):
    for value in range(count):
        run.log({"value": value}, **more)

run = wandb.init(name="one after the other")
numbers(run, 5)
run.log({})
run.log({"value": 1}, step=20)
run.log({"other": 1}, step=20)
run.log({"value": 1}, commit=False)
run.log({"other": 1})
run.log({"value": 1}, step=3)
run.log({"nested": {"a": {"b": 1}}, "none": None, "nan": float("nan")}, step=30, commit=True)
numbers(run, 3, step=40)
run.log({"large": "x" * 300_000})
run.log({f"metric {number}": number for number in range(300)})
run.log({"waits": 1}, commit=False)
run.finish()

first, second = (wandb.init(name=f"open {number}", reinit="create_new") for number in (1, 2))
threads = [threading.Thread(target=numbers, args=(each, 50)) for each in (first, second)]
for thread in threads: thread.start()
for thread in threads: thread.join()
numbers(second, 1)
first.finish()

again = wandb.init(id="again", name="again", reinit="create_new")
numbers(again, 4)
again.finish()
again = wandb.init(id="again", name="again", resume="allow", reinit="create_new")
numbers(again, 6)
again.finish()

nothing = wandb.init(name="nothing", reinit="create_new")
nothing.finish()

shared = wandb.init(name="shared", reinit="create_new")
numbers(shared, 3)
if (child := os.fork()) == 0:
    numbers(shared, 3)
    os._exit(0)
os.waitpid(child, 0)
numbers(shared, 2)
"""


def test_as_many_rows_are_counted_as_wandb_core_writes(tmp_path, wandb_python):
    for version in WANDB_VERSIONS:
        folder = make_run(tmp_path / version, [str(wandb_python(version)), "-c", EVERY_WAY])
        assert run_to_end(folder) == (0, "")
        (attempt,) = attempts_of(folder)
        assert "missing" not in attempt
        segments = folder.segments()
        assert attempt["rows"] == {segment.name: len(list(history(segment))) for segment in segments}
        by_name: dict[str, list[int]] = {}
        for segment in segments:
            by_name.setdefault(read_segment(segment).display_name, []).append(attempt["rows"][segment.name])
        assert by_name == {
            "one after the other": [11],
            "open 1": [50],
            "open 2": [51],
            "again": [4, 6],
            "nothing": [0],
            "shared": [8],
        }


# It logs no more after the kill, and so notices nothing.
GOES_ON = """
import time
from pathlib import Path
import wandb
run = wandb.init()
for value in range(100):
    run.log({"value": value})
print("logged", flush=True)
while not Path("go").exists():
    time.sleep(0.01)
import os
import signal
os._exit(0)
"""


def test_when_the_process_that_keeps_wandb_core_is_killed_it_is_said_and_the_run_is_not_done(
    tmp_path, wandb_python, server
):
    folder = make_run(tmp_path / "results" / "digits" / "k3j9", [sys.executable, "-c", GOES_ON], workdir=str(tmp_path))
    launcher = start(folder)
    wait_for_line(folder, "logged")
    # A fork of the launcher's, with the same words.
    words = Path(f"/proc/{launcher.pid}/cmdline").read_bytes()
    below = running_descendants(launcher.pid)
    (keeper,) = [pid for pid in below if Path(f"/proc/{pid}/cmdline").read_bytes() == words]
    os.kill(keeper, signal.SIGKILL)
    at_once = "runferry: the process that keeps wandb-core has been killed: what is logged from now on is lost"
    wait_for_line(folder, at_once)
    (tmp_path / "go").touch()
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    said = "the process that keeps wandb-core was killed, and wandb-core with it"
    assert f"failed with exit code 1: rows are missing: {said}" in errors.splitlines()[0]
    assert [line.startswith(said) for line in attempts_of(folder)[0]["missing"]] == [True]
    code, printed = _sync(folder, server)
    assert code != 0
    assert not folder.receipt_file.exists()
    # With wandb-core's flush every two seconds there may be something to send, or nothing yet.
    assert said in printed
