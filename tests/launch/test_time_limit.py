"""The launcher's own clock: a warning before the job's time limit, and an end in time for the rows to be written."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from runferry.launch.time_limit import JobClock, WarningSettings
from runferry.trackers.wandb.log.segment import history, read_segment
from support.attempt_files import attempts_of
from support.launching import lines, make_run, run_to_end

TRAIN = """
import os, signal, sys, time, wandb
stop = []
if "heed" in sys.argv:
    signal.signal(signal.SIGUSR1, lambda *_: stop.append(True))
if "ignore" in sys.argv:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
run = wandb.init()
for step in range(1000):
    run.log({"loss": step})
    time.sleep(0.1)
    if stop:
        print("saved")
        sys.exit(0)
"""


def _launch(tmp_path, *options: str, seconds: float = 19) -> tuple[int, dict, list]:
    warning = {"signal": "SIGUSR1", "seconds": seconds - 8}
    folder = make_run(tmp_path / "run", [sys.executable, "-c", TRAIN, *options], warning=warning)
    end = {"SLURM_JOB_ID": "1", "SLURM_JOB_END_TIME": str(int(time.time() + seconds))}
    code, _ = run_to_end(folder, end, grace_seconds=1)
    (attempt,) = attempts_of(folder)
    (segment,) = folder.segments()
    # What was logged is what can be read, whole and with the true exit code.
    assert read_segment(segment).damage is None
    assert [row["loss"] for row in history(segment)] == list(range(read_segment(segment).history_count))
    assert read_segment(segment).history_count > 5
    assert not folder.trained_file.exists()
    return code, attempt, lines(folder)


def test_a_command_that_heeds_the_warning_is_stopped_and_has_more_to_do(tmp_path):
    code, attempt, log = _launch(tmp_path, "heed")
    assert code == 75
    assert (attempt["outcome"], attempt["reason"]) == ("stopped", "time limit")
    assert "saved" in log
    assert any("time limit is" in line and "SIGUSR1 to the command" in line for line in log)


def test_a_command_that_does_not_know_the_signal_is_ended_by_it(tmp_path):
    _, attempt, _ = _launch(tmp_path)
    assert (attempt["reason"], attempt["signal"]) == ("time limit", "SIGUSR1")


def test_a_command_that_ignores_the_warning_is_ended_before_the_job_is(tmp_path):
    begin = time.time()
    _, attempt, log = _launch(tmp_path, "ignore", seconds=20)
    assert (attempt["reason"], attempt["signal"]) == ("time limit", "SIGKILL")
    assert any("goes on after its warning" in line for line in log)
    assert time.time() - begin < 20


def test_the_warning_comes_five_minutes_before_the_end_of_a_long_job_and_a_tenth_of_a_short_one():
    settings = WarningSettings(signal.SIGTERM, None)
    assert JobClock(settings, time.time() + 86400).seconds_to_next() == pytest.approx(86400 - 300, abs=2)
    assert JobClock(settings, time.time() + 600).seconds_to_next() == pytest.approx(540, abs=2)


def test_a_job_that_nothing_limits_is_not_warned():
    clock = JobClock(WarningSettings(signal.SIGTERM, 60), None)
    assert clock.seconds_to_next() is None
    assert not clock.due()


def test_a_time_limit_that_was_moved_moves_the_warning():
    clock = JobClock(WarningSettings(signal.SIGTERM, 60), time.time() + 30)
    assert clock.due()
    assert clock.extend(time.time() + 3600)
    assert not clock.due()
    assert not clock.extend(time.time() + 3000)
