"""The watcher as a process: keys, signals, kills."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.live_runs import Growing, state, steps
from support.written_runs import PROJECT, rows_of, wait_for

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.usefixtures("connected")


def test_a_key_that_is_refused_ends_it(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    server.faults({"match": "*", "status": 401})
    done = subprocess.run(
        [sys.executable, "-m", "runferry", "sync", "--watch", "--interval", "0.2", str(tmp_path / "results")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "refused the key found in WANDB_API_KEY (HTTP 401)" in done.stderr
    assert server.key not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_seconds_of_a_signal_and_a_second_one_says_that_there_is_a_first(
    trained, server, tmp_path, command, number
):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    first = command()
    wait_for(lambda: rows_of(server, run.folder))
    second = command()
    assert second.wait(20) == 1
    assert f"process {first.pid} on {socket.gethostname()} watches it already" in second.stderr.read()
    first.send_signal(number)
    assert first.wait(5) == 0
    assert "goes on where it was" in first.stderr.read()


def test_a_run_that_has_ended_is_synced_by_the_watcher_itself(trained, server, tmp_path, command):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    command()
    wait_for(lambda: rows_of(server, run.folder))
    run.finish()
    wait_for(run.folder.receipt_file.exists, 60)
    assert state(server) == "finished"
    assert steps(server) == list(range(61))


def test_a_watcher_of_many_runs_that_was_killed_is_followed_by_another_and_no_row_is_lost_or_doubled(
    trained, server, tmp_path, command
):
    runs = [Growing(trained, tmp_path / "results", f"run{number}") for number in range(100)]
    for run in runs:
        run.grow(0.5)
    first = command("--running-only")
    wait_for(lambda: len(server.runs("demo", PROJECT)) > 20)
    first.kill()
    first.wait()
    command("--running-only")
    for run in runs:
        run.grow(1)
    wait_for(lambda: all(len(rows_of(server, run.folder)) == 61 for run in runs), 60)
    for run in runs:
        assert [row["_step"] for row in rows_of(server, run.folder)] == list(range(61))
