"""Attempts of one run: the newest one goes on alone."""

from __future__ import annotations

import os

from runferry.config.rounds import ChosenRun, write_chosen
from runferry.errors import AnotherAttemptError
from runferry.launch.bayes_run import launch_place
from runferry.runs.first_start import begin_race, claim
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


def test_of_several_jobs_the_first_trains_and_the_other_writes_nothing(tmp_path):
    said = "import os; print([name for name in os.environ if name in ('RUNFERRY_RACE', 'RUNFERRY_ALTERNATIVE')])"
    folder = make_run(tmp_path / "run", python(said))
    race = {"RUNFERRY_RACE": begin_race(folder), "RUNFERRY_ALTERNATIVE": "gpu: a100"}
    assert run_to_end(folder, {**job_variables("7"), **race})[0] == 0
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    code, errors = run_to_end(folder, {**job_variables("8"), **race, "RUNFERRY_ALTERNATIVE": "gpu: h100"})
    assert code == 0
    assert "another of its jobs has started it first; this one ends" in errors
    assert {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")} == before
    (attempt,) = attempts_of(folder)
    assert (attempt["job"], attempt["alternative"], attempt["outcome"]) == ("7", "gpu: a100", "finished")
    assert "[]" in lines(folder)


def test_of_several_jobs_of_a_place_in_a_round_the_one_that_lost_says_nothing_of_its_end(tmp_path, monkeypatch):
    folder = make_run(tmp_path / "e" / "k3j9", python("print('trained')"))
    place = tmp_path / "e" / "rounds" / "1" / "1.json"
    write_chosen(place.with_name("runs.json"), [ChosenRun("k3j9", {"lr": 0.1}, 0)])
    race = begin_race(folder)
    assert claim(folder, race, "7")
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    monkeypatch.setenv("RUNFERRY_RACE", race)
    assert launch_place(place) == 0
    assert sorted(file.name for file in place.parent.iterdir()) == ["runs.json"]
    assert not folder.log_file.exists()
