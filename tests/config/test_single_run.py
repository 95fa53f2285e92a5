"""Runs that no config names: made by the library, or by `runferry launch RUN_FOLDER -- COMMAND`."""

from __future__ import annotations

import json

import pytest

from runferry import api
from runferry.config.experiments import experiments
from runferry.config.loading import read_config
from support.new_runs import own_folder  # noqa: F401 - a fixture


def _record(run: api.Run) -> dict:
    return json.loads((run.path / "run.json").read_text())


def test_a_run_is_known_by_its_folder_and_what_it_runs(tmp_path):
    run = api.create_run("results/line/a", ["python", "train.py", "${args}"], {"rate": 0.1, "deep": True}, tags=["x"])
    assert run.path == tmp_path / "results" / "line" / "a"
    assert (run.name, run.experiment, run.state) == ("a", "line", "pending")
    assert run.command == ["python", "train.py", "--rate=0.1", "--deep=True"]
    assert run.parameters == {"rate": 0.1, "deep": True}
    assert run.receipt is None
    assert run.attempts == run.segments() == list(run.history()) == []
    record = _record(run)
    assert record["workdir"] == str(tmp_path)
    assert record["wandb"] == {
        "project": "uncategorized",
        "entity": None,
        "tags": ["x"],
        "mode": "offline",
        "base_url": None,
        "group": "line",
    }


def test_made_again_it_is_the_same_run_and_the_file_is_left_alone():
    run = api.create_run("results/line/a", ["true"], {"rate": 0.1})
    before, stamp = run.id, (run.path / "run.json").stat()
    assert api.create_run("results/line/a", ["true"], {"rate": 0.1}).id == before
    assert (run.path / "run.json").stat().st_mtime_ns == stamp.st_mtime_ns
    # Where it goes to on the server is no part of what it is.
    assert api.create_run("results/line/a", ["true"], {"rate": 0.1}, project="other").id == before
    assert _record(run)["wandb"]["project"] == "other"


def test_two_folders_are_two_runs_though_they_run_the_same():
    ids = {api.create_run(f"results/{name}", ["true"]).id for name in ("line/a", "line/b", "circle/a")}
    assert len(ids) == 3


def test_the_folder_of_another_command_is_refused():
    api.create_run("results/line/a", ["python", "train.py", "--rate=0.1"])
    with pytest.raises(api.RunferryError) as refused:
        api.create_run("results/line/a", ["python", "train.py", "--rate=0.2"])
    assert "found the run of another command there (python train.py --rate=0.1)" in str(refused.value)
    assert "expected python train.py --rate=0.2; give another folder" in str(refused.value)


def test_a_folder_whose_record_is_no_runs_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text("[]")
    with pytest.raises(api.RunferryError, match="found no run record in it"):
        api.create_run("a", ["true"])


def test_project_and_entity_are_those_of_the_environment(monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_ENTITY", "lab")
    wandb = _record(api.create_run("results/line/a", ["true"]))["wandb"]
    assert (wandb["project"], wandb["entity"]) == ("mine", "lab")
    assert _record(api.create_run("results/line/a", ["true"], project="named"))["wandb"]["project"] == "named"


def test_an_environment_is_found_from_the_runs_folder_wherever_links_lead(tmp_path):
    real = tmp_path / "scratch"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    record = tmp_path / "environments" / "e.json"
    record.parent.mkdir()
    record.write_text("{}")
    run = api.create_run(tmp_path / "link" / "line" / "a", ["true"], environment=record)
    assert (run.path / _record(run)["environment"]).resolve() == record
    with pytest.raises(api.RunferryError, match="expected the record of an environment"):
        api.create_run("results/line/b", ["true"], environment="nowhere.json")


@pytest.mark.parametrize(
    ("folder", "command", "found"),
    [
        ("results/line/a", "python train.py", "found the command 'python train.py', expected a list"),
        ("results/line/a", [], "found no command"),
        ("/a", ["true"], "found no experiment"),
    ],
)
def test_what_is_no_command_or_no_runs_folder_is_refused(folder, command, found):
    with pytest.raises(api.RunferryError) as refused:
        api.create_run(folder, command)
    assert found in str(refused.value)


def test_a_macro_that_is_not_known_is_refused():
    with pytest.raises(api.RunferryError, match="argz"):
        api.create_run("results/line/a", ["python", "${argz}"], {"rate": 1})


def test_a_configs_runs_are_those_of_the_workflow(tmp_path):
    sweep = {"method": "grid", "parameters": {"n": {"values": [1, 2]}}, "command": ["true", "${args}"]}
    config = {"wandb": {"project": "p"}, "experiments": {"a": {"sweep": sweep}, "b": {"command": ["true"]}}}
    made = api.create_runs(config)
    expected = experiments(read_config({**config, "cluster": "local"}))
    assert {name: [run.id for run in runs] for name, runs in made.items()} == {
        name: list(experiment.runs) for name, experiment in expected.items()
    }
    assert [run.parameters for run in made["a"]] == [{"n": 1}, {"n": 2}]
    assert (tmp_path / "results" / "a" / "runs.tsv").read_text().count("\n") == 3
    assert len(api.find_runs()) == 3


def test_a_bayes_sweep_is_left_to_the_workflow_and_nothing_is_written(tmp_path):
    sweep = {
        "method": "bayes",
        "run_cap": 3,
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"n": {"min": 0.0, "max": 1.0}},
        "command": ["true", "${args}"],
    }
    config = {"wandb": {"project": "p"}, "experiments": {"b": {"command": ["true"]}, "a": {"sweep": sweep}}}
    with pytest.raises(api.RunferryError, match="found a bayes sweep"):
        api.create_runs(config)
    assert not (tmp_path / "results").exists()


def test_a_config_that_is_wrong_is_one_line(tmp_path):
    (tmp_path / "config.yaml").write_text("wandb: {project: p}\nexperimentz: {}\n")
    with pytest.raises(api.RunferryError, match="experimentz: found an unknown key"):
        api.create_runs("config.yaml")
    (tmp_path / "config.yaml").write_text("- 1\n")
    with pytest.raises(api.RunferryError, match="found no mapping of keys"):
        api.create_runs(tmp_path / "config.yaml")
