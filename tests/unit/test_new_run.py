"""Runs that no config names: made by the library, or by `runferry launch RUN_FOLDER -- COMMAND`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest

from runferry import api, api_run, errors
from runferry.cli import main
from runferry.config.experiments import experiments
from runferry.config.loading import read_config


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in ("WANDB_PROJECT", "WANDB_ENTITY", "CC_CLUSTER", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _record(run: api_run.Run) -> dict:
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
    with pytest.raises(errors.RunferryError) as refused:
        api.create_run("results/line/a", ["python", "train.py", "--rate=0.2"])
    assert "found the run of another command there (python train.py --rate=0.1)" in str(refused.value)
    assert "expected python train.py --rate=0.2; give another folder" in str(refused.value)


def test_a_folder_whose_record_is_no_runs_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text("[]")
    with pytest.raises(errors.RunferryError, match="found what is no run's"):
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
    with pytest.raises(errors.RunferryError, match="expected the record of an environment"):
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
    with pytest.raises(errors.RunferryError) as refused:
        api.create_run(folder, command)
    assert found in str(refused.value)


def test_a_macro_that_is_not_known_is_refused():
    with pytest.raises(errors.RunferryError, match="argz"):
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
    with pytest.raises(errors.RunferryError, match="found a bayes sweep"):
        api.create_runs(config)
    assert not (tmp_path / "results").exists()


def test_a_config_that_is_wrong_is_one_line(tmp_path):
    (tmp_path / "config.yaml").write_text("wandb: {project: p}\nexperimentz: {}\n")
    with pytest.raises(errors.RunferryError, match="experimentz: found an unknown key"):
        api.create_runs("config.yaml")
    (tmp_path / "config.yaml").write_text("- 1\n")
    with pytest.raises(errors.RunferryError, match="found no mapping of keys"):
        api.create_runs(tmp_path / "config.yaml")


def test_launch_in_another_thread_says_what_to_do():
    run = api.create_run("results/line/a", ["true"])
    caught: list[Exception] = []

    def try_it() -> None:
        try:
            api.launch(run)
        except errors.RunferryError as error:
            caught.append(error)

    thread = threading.Thread(target=try_it, name="helper")
    thread.start()
    thread.join()
    assert "found the thread helper, expected the process's main thread" in str(caught[0])
    assert run.attempts == []


def test_importing_the_library_imports_neither_wandb_nor_snakemake():
    code = "import sys, runferry.api; sys.exit(any(name in sys.modules for name in ('wandb', 'snakemake')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _launch(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runferry", "launch", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_after_two_dashes_is_made_a_run_and_launched_once():
    printed = ["sh", "-c", 'echo "$WANDB_PROJECT $WANDB_NAME $WANDB_MODE $0 $1"; exit $1', "--name=its-own", "0"]
    words = ["results/line/a", "--project", "p", "--name", "shown", "--", *printed]
    done = _launch(*words)
    assert done.returncode == 0, done.stderr
    (run,) = api.find_runs()
    assert (run.name, run.state, run.command) == ("shown", "finished", printed)
    assert "\np shown offline --name=its-own 0\n" in run.log.read_text()
    again = _launch(*words)
    assert again.returncode == 0
    assert "results/line/a: trained already; remove trained.json there to train it again" in again.stderr
    assert len(run.attempts) == 1
    assert api.launch(run) == 0
    assert len(run.attempts) == 1


def test_its_exit_code_is_the_commands_and_launched_again_it_is_another_attempt():
    words = ["results/line/a", "--", "sh", "-c", "exit 3"]
    assert [_launch(*words).returncode for _ in range(2)] == [3, 3]
    (run,) = api.find_runs()
    assert run.state == "failed"
    assert [attempt["exit_code"] for attempt in run.attempts] == [3, 3]


def test_options_of_a_new_run_without_a_command_are_refused(capsys):
    assert main.main(["launch", "results/line/a", "--project", "p"]) == 2
    assert "found --project without a command" in capsys.readouterr().err


def test_an_option_for_all_commands_may_come_first():
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "runferry",
            "--debug",
            "launch",
            "results/line/a",
            "--",
            "sh",
            "-c",
            "exit 5",
            "--debug",
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 5
    assert api.find_runs()[0].command[-1] == "--debug"


def test_an_online_mode_that_the_cluster_does_not_allow_is_refused():
    wandb = {"project": "p", "mode": "online"}
    with pytest.raises(errors.RunferryError, match="online"):
        api.create_runs({"cluster": "trillium", "wandb": wandb, "experiments": {"a": {"command": ["true"]}}})


def test_two_dashes_without_a_command_are_as_without_them(capsys):
    assert main.main(["launch", "results/line/a", "--"]) == 2
    assert "no run.json in it" in capsys.readouterr().err
