"""The workflow as a module of another one: renamed, several times, from a folder and from git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from runferry_standin import running
from support.projects import ROOT
from support.slurm_stub import make_stub

pytestmark = pytest.mark.slow

FOREIGN = """
configfile: "host.yaml"

module training:
    snakefile: {snakefile}
    config: config["training"]
    pathvars:
        results="out/runs",
        logs="out/logs",

use rule * from training as training_*

rule all:
    default_target: True
    localrule: True
    input: rules.training_all.input, "evaluated.txt"

rule evaluate:
    localrule: True
    input: rules.training_train_all.input
    output: "evaluated.txt"
    shell: "cat {{input}} > {{output}}"
"""

PLANNED = {
    "training_runs": 1,
    "training_train": 2,
    "training_sync": 2,
    "training_report": 1,
    "evaluate": 1,
    "all": 1,
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A bare repository with the workflow as it is here, tagged v0.1.0; nothing else of the checkout is in it."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "workflow", folder / "work" / "workflow")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", "-C", folder / "work"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"], ["tag", "v0.1.0"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", folder / "work", folder / "runferry.git"], check=True)
    shutil.rmtree(folder / "work")
    return folder / "runferry.git"


def _foreign(project, snakefile: str, training: dict):
    project.write("host.yaml", yaml.safe_dump({"training": training, "something": "else"}))
    return project.write("Snakefile", FOREIGN.format(snakefile=snakefile))


def _training(grid, **more) -> dict:
    return {"cluster": "local", "wandb": {"project": "p"}, "experiments": {"a": {"sweep": grid(2)}}, **more}


def _assert_trained(project, snakefile) -> None:
    done = project.snakemake("evaluated.txt", snakefile=snakefile)
    assert done.returncode == 0, done.stderr
    assert (project.folder / "evaluated.txt").read_text().count('"attempt"') == 2
    assert len(list((project.folder / "out" / "runs" / "a").glob("*/trained.json"))) == 2
    assert not (project.folder / "results").exists()


def test_from_a_folder_with_other_names_and_other_paths(project, grid):
    snakefile = _foreign(project, repr(str(ROOT / "workflow" / "Snakefile")), _training(grid))
    assert project.planned(snakefile=snakefile) == PLANNED
    _assert_trained(project, snakefile)


def test_from_a_git_url(project, grid, repository):
    # git itself is told that this URL is the repository on this machine: Snakemake clones it as it would any other.
    home = project.environment["HOME"]
    project.write("home/.gitconfig", f'[url "file://{repository}"]\n\tinsteadOf = https://github.com/lab/runferry\n')
    project.environment["XDG_CACHE_HOME"] = f"{home}/.cache"
    source = 'github("lab/runferry", path="workflow/Snakefile", tag="v0.1.0")'
    snakefile = _foreign(project, source, _training(grid))
    assert project.planned(snakefile=snakefile) == PLANNED
    _assert_trained(project, snakefile)


def test_a_config_file_of_the_foreign_workflow_is_its_own_affair(project, grid):
    project.write("config/config.yaml", "twice: 1\ntwice: 2\n")
    snakefile = _foreign(project, repr(str(ROOT / "workflow" / "Snakefile")), _training(grid))
    assert project.planned(snakefile=snakefile) == PLANNED


# What `snakedeploy deploy-workflow <url> . --tag v0.1.0` writes (0.17.1, its template use_module.smk.jinja); it copies
# config/ and profiles/ beside it, and nothing else.
DEPLOYED = """from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare https://github.com/lab/runferry as a module
module runferry:
    snakefile:
        github("lab/runferry", path="workflow/Snakefile", tag="v0.1.0")
    config:
        config


# use all rules from https://github.com/lab/runferry
use rule * from runferry
"""
# As far as Snakemake asks it before it makes an environment.
CONDA = """#!/bin/sh
echo "$@" >>conda.txt
case "$1" in
info) echo '{"conda_prefix": "/opt/conda", "platform": "linux-64"}';;
--version) echo "conda 25.1.0";;
*) exit 1;;
esac
"""
ONE_OF_TWO_FAILS = """
import sys, wandb
run = wandb.init()
run.log({"loss": int(sys.argv[1].split("=")[1])})
if "--n=1" in sys.argv:
    raise SystemExit("no convergence")
run.finish()
"""


def test_what_snakedeploy_writes_starts_and_its_handlers_fire(project, repository):
    home = project.environment["HOME"]
    project.write("home/.gitconfig", f'[url "file://{repository}"]\n\tinsteadOf = https://github.com/lab/runferry\n')
    project.environment["XDG_CACHE_HOME"] = f"{home}/.cache"
    for name in ("config", "profiles"):
        shutil.copytree(ROOT / name, project.folder / name)
    project.write("workflow/Snakefile", DEPLOYED)
    snakemake = [sys.executable, "-m", "snakemake", "--profile", "profiles/local"]
    planned = project.run(*snakemake, "-n")
    assert planned.returncode == 0, planned.stderr
    assert "digits: 6 jobs of 1 run" in planned.stderr
    project.write("train.py", ONE_OF_TWO_FAILS)
    command = [sys.executable, "train.py", "${args}"]
    sweep = {"method": "grid", "parameters": {"n": {"values": [1, 2]}}, "command": command}
    sweep["metric"] = {"name": "loss", "goal": "minimize"}
    project.configure({"a": {"sweep": sweep}}, sync={"watch": True, "interval": 1})
    # For rules of a workflow above; of these, none has conda make an environment.
    conda = project.write("bin/conda", CONDA)
    conda.chmod(0o755)
    with running() as server:
        project.environment |= server.environment | {
            "WANDB_ERROR_REPORTING": "false",
            "PATH": f"{conda.parent}{os.pathsep}{os.environ['PATH']}",
        }
        done = project.run(*snakemake, "--sdm", "conda")
        held = {run: server.run("demo", "tests", run)["state"] for run in server.runs("demo", "tests")}
    assert done.returncode != 0
    assert sorted(held.values()) == ["failed", "finished"], done.stderr
    assert set((project.folder / "conda.txt").read_text().splitlines()) <= {"info --json", "--version"}
    (failed,) = project.folder.glob("results/a/*/interim-receipt.json")
    assert (project.folder / "logs" / "watch.log").exists()
    said = [line.removeprefix("runferry: ") for line in done.stderr.splitlines() if line.startswith("runferry: ")]
    (best,) = (run for run, state in held.items() if state == "finished")
    last = said[said.index("a: 1 of 2 runs verified on the server, 1 failed") :]
    assert last == [
        "a: 1 of 2 runs verified on the server, 1 failed",
        f"a: best loss 2 (n=2): {server.url}/demo/tests/runs/{best}",
        "a: report results/a/report.html",
        f"a: n=1 failed (failed: no convergence); see results/a/{failed.parent.name}/train.log",
        "what is done is kept; fix what failed, then run: snakemake --profile profiles/local --sdm conda",
    ]


TWO_IN_ONE_FOLDER = """
configfile: "host.yaml"

module one:
    snakefile: {snakefile}
    config: config["one"]

use rule * from one as one_*

module two:
    snakefile: {snakefile}
    config: config["two"]

use rule * from two as two_*

rule all:
    default_target: True
    localrule: True
    input: rules.one_all.input, rules.two_all.input
"""


def test_two_uses_with_experiments_of_their_own_share_a_results_folder(project, grid):
    given = _training(grid)
    other = {**given, "experiments": {"b": given["experiments"]["a"]}}
    project.write("host.yaml", yaml.safe_dump({"one": given, "two": other}))
    snakefile = project.write(
        "Snakefile", TWO_IN_ONE_FOLDER.format(snakefile=repr(str(ROOT / "workflow" / "Snakefile")))
    )
    planned = project.planned(snakefile=snakefile)
    assert {name: planned[name] for name in ("one_train", "one_sync", "two_train", "two_sync")} == dict.fromkeys(
        ("one_train", "one_sync", "two_train", "two_sync"), 2
    )


def test_a_rule_of_the_foreign_workflow_may_make_the_script(project, grid):
    experiments = {"a": {"command": ["python", "made_by_a_rule.py"]}}
    snakefile = _foreign(project, repr(str(ROOT / "workflow" / "Snakefile")), _training(grid, experiments=experiments))
    assert project.planned(snakefile=snakefile)["training_train"] == 1


def test_what_is_wrong_with_its_config_is_one_line(project, grid):
    snakefile = _foreign(project, repr(str(ROOT / "workflow" / "Snakefile")), _training(grid, wandbb={}))
    failed = project.snakemake("-n", snakefile=snakefile)
    assert failed.returncode != 0
    said = [line for line in failed.stderr.splitlines() if line.startswith("runferry:")]
    assert said == [line for line in said if "wandbb: found an unknown key" in line]
    assert len(said) == 1


def _submitted(project, slurm, snakefile, profile: dict) -> tuple[list[list[str]], str]:
    """Have the foreign workflow's own profile submit; returns its calls of sbatch, and what it said."""
    project.write("profile/config.yaml", yaml.safe_dump(profile))
    project.environment |= slurm.variables | {"STUB_ACCOUNTS": "def-lab_cpu def-lab_gpu"}
    command = project.snakemake_command(snakefile, profile=False)
    quick = [f"--{profile['executor']}-init-seconds-before-status-checks", "1", "--latency-wait", "1"]
    done = project.run(*command, "--profile", str(project.folder / "profile"), *quick)
    return [arguments for _, arguments in slurm.submissions], done.stderr


# Under the plugin Snakemake itself starts again what failed, as often as a run may have jobs: the default is 3.
EXECUTORS = pytest.mark.parametrize(("executor", "jobs"), [("runferry", 1), ("slurm", 3)])
# The words of our executor: it knows that the renamed rule trains.
NEVER_BEGAN = "It never began to train."


@EXECUTORS
def test_a_foreign_profile_sets_resources_of_the_renamed_rules_and_the_rest_follows_the_cluster(
    project, grid, tmp_path, executor, jobs
):
    slurm = make_stub(tmp_path / "slurm")
    training = _training(grid, cluster="narval", account="def-lab")
    training["experiments"]["a"] = {"sweep": grid(2), "resources": {"gpus": 1, "time": "5h"}}
    snakefile = _foreign(project, repr(str(ROOT / "workflow" / "Snakefile")), training)
    profile = {"executor": executor, "jobs": 10, "set-resources": {"training_train": {"runtime": "99m"}}}
    calls, said = _submitted(project, slurm, snakefile, profile)
    assert len(calls) == 2 * jobs, said
    for call in calls:
        line = " ".join(call)
        assert "rule_training_train_wildcards_a_" in line
        assert "--gpus=a100:1" in line
        assert "-A def-lab_gpu" in line
        assert "-t 99" in line
    assert said.count(NEVER_BEGAN) == (2 if executor == "runferry" else 0)


@EXECUTORS
def test_the_trainings_of_two_modules_are_all_submitted(project, grid, tmp_path, executor, jobs):
    slurm = make_stub(tmp_path / "slurm")
    training = _training(grid, cluster="narval", account="def-lab")
    project.write("host.yaml", yaml.safe_dump({"training": training, "other": training}))
    text = FOREIGN.format(snakefile=repr(str(ROOT / "workflow" / "Snakefile")))
    first, rest = text.split("rule all:", 1)
    begin = first.index("module training")
    second = first[begin:].replace("training", "other").replace('"out/', '"other/')
    whole = first + second + "rule all:" + rest.replace("rules.training_all.input", "rules.other_all.input")
    snakefile = project.write("Snakefile", whole)
    calls, said = _submitted(project, slurm, snakefile, {"executor": executor, "jobs": 10, "keep-going": True})
    rules = sorted({word.split("_train_")[0] for call in calls for word in call if "_train_" in word})
    assert len(calls) == 4 * jobs, said
    assert len(rules) == 2
    assert said.count(NEVER_BEGAN) == (4 if executor == "runferry" else 0)


@pytest.fixture
def example(project, wheels):
    """The example, in a folder beside a link to the workflow, where examples/module is; and a server."""
    with running() as server:
        project.environment |= server.environment | {
            "WANDB_ERROR_REPORTING": "false",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
        }
        (project.folder / "workflow").symlink_to(ROOT / "workflow")
        shutil.copytree(ROOT / "examples" / "module", project.folder / "examples" / "module")
        project.folder = project.folder / "examples" / "module"
        yield project, server


def test_the_example_trains_in_two_modules_and_a_rule_of_its_own_consumes_the_checkpoints(example):
    project, server = example
    snakemake = project.snakemake_command(project.folder / "Snakefile", profile=False)
    done = project.run(*snakemake, "--cores", "2")
    assert done.returncode == 0, done.stderr
    best = json.loads((project.folder / "results" / "best.json").read_text())
    assert best["run"].startswith("results/")
    assert best["slope"] == pytest.approx(3, abs=0.1)
    assert len(list(project.folder.glob("results/teacher/line/*/receipt.json"))) == 2
    assert len(list(project.folder.glob("results/student/line/*/receipt.json"))) == 1
    assert len(server.runs("demo", "module-example")) == 3


def test_the_examples_onerror_syncs_what_failed_in_either_module(example):
    project, server = example
    train = project.folder / "train.py"
    train.write_text(train.read_text().replace("run.finish()", "raise SystemExit(3)"))
    config = project.folder / "config.yaml"
    config.write_text(config.read_text().replace("environment: {requirements: requirements.txt}", "environment: {}"))
    project.environment["PATH"] = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
    snakemake = project.snakemake_command(project.folder / "Snakefile", profile=False)
    assert project.run(*snakemake, "--cores", "2", "--keep-going").returncode != 0
    for module, count in {"teacher": 2, "student": 1}.items():
        receipts = list(project.folder.glob(f"results/{module}/line/*/interim-receipt.json"))
        assert len(receipts) == count
    runs = server.runs("demo", "module-example")
    assert {server.run("demo", "module-example", run)["state"] for run in runs} == {"failed"}
