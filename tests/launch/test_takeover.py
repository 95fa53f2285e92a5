"""Attempts of one run: the newest one goes on alone."""

from __future__ import annotations

import os

from runferry.errors import AnotherAttemptError
from runferry.system.files import write_json
from support.attempt_files import attempts_of
from support.launching import job_variables, lines, make_run, python, run_to_end, start, wait_for_line


def test_of_two_launchers_of_one_run_the_second_leaves(tmp_path):
    folder = make_run(tmp_path / "run", python("import time; print('up'); time.sleep(600)"))
    first = start(folder)
    try:
        wait_for_line(folder, "up")
        code, errors = run_to_end(folder)
        assert code == AnotherAttemptError.exit_code
        assert f"found attempt 1 (process {first.pid} on {os.uname().nodename}) at work, expected none" in errors
        assert first.poll() is None
    finally:
        first.terminate()
        first.communicate()
    assert [attempt["reason"] for attempt in attempts_of(folder)] == ["stopped", "not started"]


def test_a_launcher_ends_its_command_when_a_newer_attempt_has_taken_over(tmp_path):
    folder = make_run(tmp_path / "run", python("import time; print('up'); time.sleep(600)"))
    launcher = start(folder)
    wait_for_line(folder, "up")
    write_json(folder.attempts_folder / "2.json", {"attempt": 2, "outcome": "taking over", "segments": []})
    launcher.communicate(timeout=60)
    first, _ = attempts_of(folder)
    assert first["reason"] == "superseded"
    assert not folder.trained_file.exists()


def test_an_attempt_that_left_no_word_is_ended_by_the_next_one(tmp_path):
    folder = make_run(tmp_path / "run", python("print('done')"))
    gone = {"attempt": 1, "outcome": "running", "host": os.uname().nodename, "pid": 2**22, "job": None, "segments": []}
    write_json(folder.attempts_folder / "1.json", gone)
    assert run_to_end(folder)[0] == 0
    first, second = attempts_of(folder)
    assert (first["outcome"], first["reason"]) == ("lost", "lost")
    assert second["outcome"] == "finished"


def test_a_job_that_slurm_runs_again_after_its_training_ended_does_not_train_again(tmp_path):
    folder = make_run(tmp_path / "run", python("print('trained')"))
    assert run_to_end(folder, job_variables("7"))[0] == 0
    # As Snakemake does before it starts a job.
    folder.trained_file.unlink()
    assert run_to_end(folder, job_variables("7"))[0] == 0
    assert folder.trained_file.exists()
    assert lines(folder).count("trained") == 1
