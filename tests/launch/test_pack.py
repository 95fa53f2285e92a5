"""Runs that share a job: each with its part of it, none at the mercy of another."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress

import pytest

from runferry.launch.pack import launch_pack
from runferry.runs.pack import read_pack, runs_left
from support.attempt_files import attempts_of
from support.launching import is_running, job_variables, running_descendants, wait_for
from support.packs import PackOf

# Waits for a SIGTERM, notes each that comes, and ends a moment after the first.
WAITING = """
trap 'echo term >>"$RUNFERRY_RUN_FOLDER/got"; sleep 0.6; exit 0' TERM
touch "$RUNFERRY_RUN_FOLDER/ready"
while :; do sleep 0.05; done
"""


def test_each_run_has_its_own_gpus_and_its_part_of_the_threads(tmp_path):
    script = 'echo "$CUDA_VISIBLE_DEVICES $OMP_NUM_THREADS" >"$RUNFERRY_RUN_FOLDER/seen"; sleep 0.5'
    pack = PackOf(tmp_path, script, script, side_by_side=2, gpus=2)
    assert pack.run(CUDA_VISIBLE_DEVICES="0,1,GPU-5,GPU-6", OMP_NUM_THREADS="9")[0] == 0
    assert sorted((run.path / "seen").read_text() for run in pack.runs) == ["0,1 4\n", "GPU-5,GPU-6 4\n"]


@pytest.mark.parametrize(
    ("given", "at_a_time", "seen"),
    [
        ("GPU-5,GPU-6", 3, ["GPU-5", "GPU-5", "GPU-5"]),
        ("0,1", 4, ["0", "0", "0", "1"]),
        # A machine without Slurm, whose GPUs nobody hands out.
        (None, 3, ["unset", "unset", "unset"]),
    ],
)
def test_runs_that_share_a_gpu_see_the_same_one(tmp_path, given, at_a_time, seen):
    script = 'echo "${CUDA_VISIBLE_DEVICES-unset}" >"$RUNFERRY_RUN_FOLDER/seen"; sleep 0.5'
    pack = PackOf(tmp_path, *[script] * at_a_time, side_by_side=at_a_time, gpus=1, share_gpu=3)
    variables = {"CUDA_VISIBLE_DEVICES": given} if given else {}
    assert pack.run(**variables)[0] == 0
    assert sorted((run.path / "seen").read_text().strip() for run in pack.runs) == seen


def test_runs_that_share_the_gpu_of_a_job_without_one_are_not_started(tmp_path):
    pack = PackOf(tmp_path, "true", "true", side_by_side=2, gpus=1, share_gpu=2)
    code, errors = pack.run(**job_variables("1"))
    assert code == 1
    assert errors.startswith("runferry: found 0 GPUs in CUDA_VISIBLE_DEVICES, expected 1: 1 for 2 runs at a time")
    assert pack.outcomes == [[], []]


def test_a_job_with_too_few_gpus_starts_nothing(tmp_path):
    pack = PackOf(tmp_path, "true", "true", side_by_side=2, gpus=2)
    code, errors = pack.run(CUDA_VISIBLE_DEVICES="0,1,2")
    assert code == 1
    assert errors.startswith("runferry: found 3 GPUs in CUDA_VISIBLE_DEVICES, expected 4: 2 for each of 2 runs")
    assert pack.outcomes == [[], []]
    assert pack.done is None


def test_one_that_fails_leaves_the_others_alone_and_nothing_is_run_twice(tmp_path):
    pack = PackOf(tmp_path, "true", "exit 3", "true", side_by_side=2)
    for _ in range(2):
        assert pack.run()[0] == 0
        assert pack.outcomes == [["finished"], ["failed"], ["finished"]]
    # The rule that settles a run has it in place of trained.json.
    assert [run.finished_file.exists() for run in pack.runs] == [True, False, True]
    assert not any(run.trained_file.exists() for run in pack.runs)


def test_what_was_done_is_written_when_each_has_had_its_attempt(tmp_path):
    pack = PackOf(tmp_path, "exit 3", "kill -KILL $$")
    assert pack.run()[0] == 0
    assert pack.done == {"run0": 3, "run1": 137}
    log = (pack.folder / "pack.log").read_text()
    assert "run run0: failed, exit code 3" in log
    assert "all runs have had their attempt; 2 failed" in log


def test_a_second_job_of_a_pack_runs_what_the_first_one_lost(tmp_path):
    pack = PackOf(tmp_path, "true", "true", "true", "true")
    lost = pack.runs[1].attempts_folder / "1.json"
    lost.parent.mkdir()
    # Of a process that is there no more: a number that Linux gives to none.
    record = {"attempt": 1, "outcome": "running", "host": os.uname().nodename, "pid": 2**22 + 1, "segments": []}
    lost.write_text(json.dumps(record))
    for finished in (pack.runs[2].trained_file, pack.runs[3].finished_file):
        finished.write_text("{}")
    assert pack.run()[0] == 0
    assert pack.outcomes == [["finished"], ["lost", "finished"], [], []]


def test_a_run_that_failed_before_the_pack_was_made_is_run_by_it(tmp_path):
    pack = PackOf(tmp_path, "true", runs={"run0": 1})
    earlier = pack.runs[0].attempts_folder / "1.json"
    earlier.parent.mkdir()
    earlier.write_text(json.dumps({"attempt": 1, "outcome": "failed"}))
    assert pack.run()[0] == 0
    assert pack.outcomes == [["failed", "finished"]]


def test_a_run_that_is_to_go_on_leaves_the_pack_undone(tmp_path, monkeypatch):
    pack = PackOf(tmp_path, "exit 3", "true")
    monkeypatch.setattr("runferry.runs.pack.should_continue", lambda run: run.path.name == "run0")
    assert launch_pack(pack.folder) == 1
    assert pack.done is None
    made = read_pack(pack.folder)
    assert [run.path.name for run in runs_left(pack.folder, made)] == ["run0"]


@pytest.mark.parametrize("to_all", [False, True])
def test_a_signal_comes_to_each_command_once_and_nothing_is_started_after_it(tmp_path, to_all):
    pack = PackOf(tmp_path, WAITING, WAITING, "true", side_by_side=2)
    job = pack.start()
    pack.wait_until_ready(0, 1)
    processes = [job.pid, *running_descendants(job.pid)] if to_all else [job.pid]
    for pid in processes:
        # Among them are the `sleep`s of the scripts, which come and go.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    job.communicate(timeout=30)
    assert job.returncode == 143
    assert [(run.path / "got").read_text() for run in pack.runs[:2]] == ["term\n", "term\n"]
    assert pack.outcomes == [["stopped"], ["stopped"], []]
    assert pack.done is None
    assert "got SIGTERM; no other run is started" in (pack.folder / "pack.log").read_text()
    # The next job has the rest.
    assert pack.run()[0] == 0
    assert pack.outcomes == [["stopped"], ["stopped"], ["finished"]]


def test_a_run_that_cannot_be_started_keeps_no_other_from_being_settled(tmp_path):
    pack = PackOf(tmp_path, "true", "true")
    pack.runs[0].run_file.unlink()
    assert pack.run()[0] == 0
    assert pack.done == {"run0": 2, "run1": 0}


def test_a_launcher_that_is_killed_is_seen_and_the_others_go_on(tmp_path):
    pack = PackOf(tmp_path, WAITING, "true")
    job = pack.start()
    pack.wait_until_ready(0)
    os.kill(attempts_of(pack.runs[0])[0]["pid"], signal.SIGKILL)
    job.communicate(timeout=40)
    assert job.returncode == 0
    assert pack.done == {"run0": 137, "run1": 0}
    assert pack.outcomes == [["killed"], ["finished"]]


def test_a_run_takes_no_time_of_the_next(tmp_path):
    pack = PackOf(tmp_path, WAITING, 'echo "$RUNFERRY_RUN_END" >"$RUNFERRY_RUN_FOLDER/end"', seconds=1)
    before = time.time()
    # Its launcher warns it, as before the time limit of a job, and so it is to go on in another.
    assert pack.run()[0] == 1
    assert [attempts_of(run)[0]["reason"] for run in pack.runs] == ["time limit", None]
    assert (pack.runs[0].path / "got").read_text().startswith("term\n")
    assert before + 1 < float((pack.runs[1].path / "end").read_text()) < time.time() + 2
    assert pack.done is None


def test_a_launcher_that_does_not_end_when_its_runs_time_is_over_is_killed(tmp_path):
    # As one does that waits for a filesystem.
    pack = PackOf(tmp_path, "kill -STOP $PPID; while :; do sleep 0.05; done", "true", seconds=1)
    assert launch_pack(pack.folder, overtime_seconds=0.5) == 0
    assert pack.done == {"run0": 137, "run1": 0}
    assert pack.outcomes == [["killed"], ["finished"]]
    assert "run run0: its time is over" in (pack.folder / "pack.log").read_text()


def test_when_the_packs_process_is_killed_its_runs_end(tmp_path):
    pack = PackOf(tmp_path, WAITING)
    job = pack.start()
    pack.wait_until_ready(0)
    launcher = attempts_of(pack.runs[0])[0]["pid"]
    job.kill()
    job.communicate()
    wait_for(lambda: not is_running(launcher), "the end of the launcher")
    assert pack.outcomes == [["stopped"]]
