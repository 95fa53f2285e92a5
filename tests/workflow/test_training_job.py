"""Which runs a job of Snakemake's trains, and how often it may be started."""

from __future__ import annotations

from runferry.system.files import write_json
from runferry.workflow.training_job import training_job


def test_experiments_of_one_name_in_two_results_folders_keep_their_own_attempts(tmp_path):
    attempts = {tmp_path / "one" / "a": 3, tmp_path / "two" / "a": 5}
    found = {}
    for results in ("one", "two"):
        run = tmp_path / results / "a" / "run1"
        write_json(run / "run.json", {"id": "run1"})
        job = training_job([str(run / "trained.json")], attempts)
        found[results] = job.attempts if job else None
    assert found == {"one": 3, "two": 5}


def test_a_relative_output_is_known_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "results" / "a" / "run1" / "run.json", {"id": "run1"})
    job = training_job(["results/a/run1/trained.json"], {tmp_path / "results" / "a": 3})
    assert job
    assert job.attempts == 3
