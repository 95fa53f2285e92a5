"""What Snakemake would do, without doing it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import virtualenv


def test_every_run_is_trained_and_synced_and_there_is_a_report(project, grid):
    project.configure({"a": {"sweep": grid(3)}, "b": {"sweep": grid(2)}})
    assert project.planned() == {"runs": 2, "train": 5, "sync": 5, "report": 1, "all": 1}


def test_an_environment_is_built_once_for_all(project, grid):
    project.write("requirements.txt", "wandb\n")
    project.configure({"a": {"sweep": grid(2)}}, environment={"requirements": "requirements.txt"})
    assert project.planned("train_all") == {"environment": 1, "runs": 1, "train": 2, "train_all": 1}


@pytest.mark.parametrize(
    ("target", "jobs"),
    [
        ("train_all", {"runs": 1, "train": 2, "train_all": 1}),
        ("sync_all", {"sync_all": 1}),
        ("report", {"runs": 1, "train": 2, "sync": 2, "report": 1}),
    ],
)
def test_targets(project, grid, target, jobs):
    project.configure({"a": {"sweep": grid(2)}})
    assert project.planned(target) == jobs


def test_a_dry_run_writes_no_run(project, grid):
    project.configure({"a": {"sweep": grid(2)}})
    project.planned()
    assert not (project.folder / "results").exists()


def test_a_longer_sweep_trains_only_what_is_new(project, grid):
    project.configure({"a": {"sweep": grid(2)}})
    assert project.snakemake("train_all").returncode == 0
    assert project.planned("train_all") == {}
    project.configure({"a": {"sweep": grid(3)}})
    assert project.planned("train_all") == {"runs": 1, "train": 1, "train_all": 1}


def test_changed_requirements_train_nothing_again(project, grid):
    project.write("requirements.txt", "")
    project.configure({"a": {"sweep": grid(1)}}, environment={"requirements": "requirements.txt"})
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    project.write("requirements.txt", "# changed\n")
    assert project.planned("train_all") == {"environment": 1}


def test_changed_requirements_hide_no_run_that_is_missing(project, grid):
    project.write("requirements.txt", "")
    environment = {"requirements": "requirements.txt"}
    project.configure({"a": {"sweep": grid(1)}}, environment=environment)
    assert project.snakemake("train_all").returncode == 0
    project.write("requirements.txt", "# changed\n")
    project.configure({"a": {"sweep": grid(2)}}, environment=environment)
    assert project.planned() == {"environment": 1, "runs": 1, "train": 1, "sync": 2, "report": 1, "all": 1}


def test_a_changed_project_trains_nothing_again_and_hides_no_sync(project, grid):
    project.configure({"a": {"sweep": grid(2)}})
    assert project.snakemake("train_all").returncode == 0
    project.configure({"a": {"sweep": grid(2)}}, wandb={"project": "another"})
    assert project.planned() == {"runs": 1, "sync": 2, "report": 1, "all": 1}


def test_the_run_file_is_there_before_the_run_is_started(project):
    script = "import pathlib, sys; sys.exit(not (pathlib.Path(sys.argv[1]) / 'run.json').is_file())"
    command = ["python3", "-c", script, "results/a/RUN"]
    project.configure({"a": {"command": command}})
    first = project.snakemake("train_all")
    assert first.returncode != 0
    run = json.loads(next((project.folder / "results" / "a").glob("*/run.json")).read_text())
    assert run["command"] == command


def test_lint_finds_nothing(project, grid):
    project.configure({"a": {"sweep": grid(1)}})
    done = project.snakemake("--lint")
    assert done.returncode == 0
    assert "in a good condition" in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [("--dag", "dot"), ("--rulegraph", "dot"), ("--dag", "mermaid-js")])
def test_the_plan_can_be_drawn(project, grid, arguments):
    project.configure({"a": {"sweep": grid(2)}})
    done = project.snakemake(*arguments)
    assert done.returncode == 0
    assert "train" in done.stdout
    assert done.stdout.startswith(("digraph", "---", "flowchart"))


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config/config.yaml", "wandb: {projet: x}\n", "wandb.projet: found an unknown key"),
        (
            "config/config.yaml",
            "wandb: [1\n",
            "config/config.yaml, line 2, column 1: expected YAML, found it malformed",
        ),
        ("sweep.yaml", "method: quantum\n", "sweep.yaml: method: found 'quantum', expected grid"),
        ("sweep.yaml", "method: grid\nparameters: {}\n", "parameters: found '{}', expected at least one parameter"),
        ("sweep.yaml", "method: grid\nparameters: {a: {}}\n", "parameters.a: found no values"),
        (
            "sweep.yaml",
            "method: grid\nparameters: {a: {\n",
            "sweep.yaml, line 3, column 1: expected YAML, found it malformed",
        ),
    ],
)
def test_bad_input_is_one_line_before_anything_is_run(project, file, text, said):
    project.configure({"a": {"sweep": "sweep.yaml"}})
    project.write(file, text)
    done = project.snakemake()
    lines = [line for line in done.stderr.splitlines() if line.startswith("runferry:")]
    assert done.returncode != 0
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in done.stderr
    assert not (project.folder / "results").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cluster": "narvall"}, "cluster: found 'narvall', expected one of beluga, cedar"),
        ({"environment": {"requirements": "none.txt"}}, "environment.requirements: found no file none.txt"),
        (
            {"experiments": {"a": {"command": ["true"], "resources": {"time": "yesterday"}}}},
            'experiments.a.resources.time: found "yesterday", expected a time such as 15m',
        ),
    ],
)
def test_a_bad_value_is_one_line_before_anything_is_run(project, change, said):
    project.configure(**{"cluster": "local", "experiments": {"a": {"command": ["true"]}}, **change})
    # The profile names a cluster; here the config's is the one to be looked at.
    done = project.run(
        *(project.snakemake_command(profile=False)), "--cores", "1", "--configfile", "config/config.yaml"
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("runferry:")]
    assert done.returncode != 0
    assert len(lines) == 1
    assert said in lines[0]


def test_environments_of_several_experiments_are_built_once_each(project, grid):
    project.write("requirements.txt", "")
    project.write("other.txt", "# other\n")
    jax = {"lock": "requirements.txt", "modules": []}
    project.configure(
        {
            "a": {"sweep": grid(2)},
            "b": {"sweep": grid(1), "environment": "jax"},
            "c": {"sweep": grid(1), "environment": dict(jax)},
            "d": {"sweep": grid(1), "environment": {"requirements": "other.txt"}},
        },
        environment={"requirements": "requirements.txt"},
        environments={"jax": jax},
    )
    assert project.planned("train_all") == {"environment": 3, "runs": 4, "train": 5, "train_all": 1}


@pytest.mark.slow
def test_a_change_of_the_user_s_package_builds_its_environment_again_and_trains_nothing_again(project, grid):
    # setuptools, which builds the package, is in virtualenv.
    seeds = Path(virtualenv.__file__).parent / "seed" / "wheels" / "embed"
    project.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(seeds)}
    project.write("mine/pyproject.toml", '[project]\nname = "mine"\nversion = "1"\n')
    project.write("mine/mine.py", "state = 1\n")
    project.configure({"a": {"sweep": grid(1)}}, environment={"pyproject": "mine"})
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    assert project.planned("train_all") == {}
    project.write("mine/mine.py", "state = 2\n")
    assert project.planned("train_all") == {"environment": 1}
