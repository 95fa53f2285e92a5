"""Runs that share a job, as Snakemake plans and runs them."""

from __future__ import annotations

import json

import pytest

from support.projects import ROOT
from support.slurm_stub import path_without_slurm

# Ends with 3 for n=2, until the file is there.
FAILING = ["sh", "-c", 'case "$0" in *=2) [ -e mended ] || exit 3;; esac', "${args}"]

MODULE = """
configfile: "config/host.yaml"

module training:
    snakefile: "{root}/workflow/Snakefile"
    config: config["training"]
    pathvars:
        results="out/runs",
        logs="out/logs",

use rule * from training as training_*

rule all:
    default_target: True
    localrule: True
    input: rules.training_train_all.input
"""


def _packed(grid, count: int, command: list[str] | None = None, **packing) -> dict:
    return {"sweep": grid(count, command), "packing": packing or {"side_by_side": 2, "one_after_another": 2}}


def _attempts(project, experiment: str = "a") -> list[int]:
    return sorted(
        len(list((run.parent / "attempts").glob("*.json")))
        for run in (project.folder / "results" / experiment).glob("*/run.json")
    )


def test_a_pack_is_one_job_and_each_of_its_runs_is_settled_and_synced(project, grid):
    project.configure({"a": _packed(grid, 9), "b": {"sweep": grid(2)}})
    planned = project.planned()
    assert planned == {
        "runs": 2,
        "pack": 2,
        "train_pack": 2,
        "settle": 8,
        "train": 3,
        "sync": 11,
        "report": 1,
        "all": 1,
    }


def test_runs_that_share_a_gpu_and_tasks_of_a_run_are_planned_so_and_run_at_once(project, grid):
    # Each waits for the others: they can only come if they run at the same time.
    script = """touch "$SEEN/$0"; until [ $(ls "$SEEN" | wc -l) = 3 ]; do sleep 0.05; done
    echo "$CUDA_VISIBLE_DEVICES $MOMENTUM" >"$RUNFERRY_RUN_FOLDER/seen" """
    project.environment["CUDA_VISIBLE_DEVICES"] = "GPU-7,GPU-8"
    meeting = project.folder / "meeting"
    meeting.mkdir()
    experiment = _packed(grid, 3, ["sh", "-c", script, "${args}"], share_gpu=3)
    experiment |= {"resources": {"gpus": 1, "cores": 1}, "variables": {"SEEN": str(meeting), "MOMENTUM": "${args}"}}
    script = 'echo "$CUDA_VISIBLE_DEVICES $WORLD_SIZE" >"$RUNFERRY_RUN_FOLDER/rank-$RANK"'
    resources = {"tasks": 2, "gpus": 2, "gpus_per_task": 1}
    project.configure({"a": experiment, "b": {"command": ["sh", "-c", script], "resources": resources}})
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    assert "a: 1 job of 3 runs, 1 GPU that 3 runs share, 3 cores" in done.stderr
    assert "b: 1 job of 1 run, 2 tasks, 2 GPU, 2 cores" in done.stderr
    ranks = sorted(project.folder.glob("results/b/*/rank-*"))
    assert [file.read_text() for file in ranks] == ["GPU-7 2\n", "GPU-8 2\n"]
    seen = sorted(file.read_text() for file in project.folder.glob("results/a/*/seen"))
    assert seen == [f"GPU-7 --n={n}\n" for n in range(3)]
    assert _attempts(project) == [1, 1, 1]


@pytest.mark.parametrize("packing", [False, {}])
def test_where_packing_is_off_each_run_has_a_job_of_its_own(project, grid, packing):
    project.configure({"a": {"sweep": grid(3), "packing": packing}})
    assert project.planned("train_all") == {"runs": 1, "train": 3, "train_all": 1}


@pytest.mark.parametrize(
    ("cluster", "resources", "jobs"),
    [
        ("tamia", {"gpus": 1}, {"train_pack": 2}),
        ("narval", {"gpus": 1, "time": "12m"}, {"train_pack": 1}),
    ],
)
def test_a_clusters_facts_say_what_is_packed(project, tmp_path, grid, cluster, resources, jobs):
    project.environment["PATH"] = path_without_slurm(tmp_path / "path")
    project.configure({"a": {"sweep": grid(5), "resources": resources}}, cluster=cluster)
    # The profile of this machine would name it as the cluster.
    done = project.run(
        *project.snakemake_command(profile=False),
        *("-n", "--quiet", "rules", "--cores", "1", "train_all", "--configfile", "config/config.yaml"),
        *("--config", "account=x"),
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    counted = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[0] in ("train", "train_pack")}
    assert counted == jobs


def test_one_that_fails_keeps_no_other_from_being_trained_and_is_alone_the_next_time(project, grid):
    project.configure({"a": _packed(grid, 4, FAILING)})
    failed = project.snakemake("train_all")
    assert failed.returncode != 0
    (line,) = [line for line in failed.stderr.splitlines() if "attempt 1 failed" in line]
    assert line.startswith("runferry: run ")
    assert ": attempt 1 failed, exit code 3" in line
    assert "not present when the DAG was created" not in failed.stderr
    assert len(list(project.folder.glob("results/a/*/trained.json"))) == 3
    # Nothing of what is trained is planned again.
    assert project.planned("train_all") == {"train": 1, "train_all": 1}
    (project.folder / "mended").touch()
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    assert _attempts(project) == [1, 1, 1, 2]
    assert project.planned("train_all") == {}


def test_a_pack_that_failed_whole_is_run_again_and_one_that_was_settled_is_not(project, grid):
    project.configure({"a": _packed(grid, 2, ["sh", "-c", "[ -e mended ]", "${args}"])})
    assert project.snakemake("train_all").returncode != 0
    assert project.planned("train_all") == {"pack": 1, "train_pack": 1, "settle": 2, "train_all": 1}
    (project.folder / "mended").touch()
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    assert _attempts(project) == [2, 2]
    assert project.planned("train_all") == {}
    # Trained again on purpose.
    next(project.folder.glob("results/a/*/trained.json")).unlink()
    assert project.snakemake("train_all").returncode == 0
    assert _attempts(project) == [2, 3]


def test_what_is_trained_stays_trained_whatever_changes(project, grid):
    project.write("requirements.txt", "")
    environment = {"requirements": "requirements.txt"}
    project.configure({"a": _packed(grid, 3)}, environment=environment)
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    project.write("requirements.txt", "# changed\n")
    # The environment is there for what is new; it was one run alone that was trained by rule `train`.
    project.configure({"a": _packed(grid, 3)}, environment=environment, wandb={"project": "another"})
    assert "train_pack" not in project.planned("train_all")
    project.configure({"a": {"sweep": grid(5), "packing": False}}, environment=environment)
    planned = project.planned("train_all")
    assert planned["train"] == 2
    assert not {"pack", "train_pack", "settle"} & planned.keys()
    project.configure({"a": _packed(grid, 5)}, environment=environment)
    planned = project.planned("train_all")
    assert (planned["train_pack"], planned["settle"], planned.get("train")) == (1, 2, None)


def test_what_was_trained_when_the_controller_died_is_not_trained_again(project, grid):
    project.configure({"a": _packed(grid, 3)})
    assert project.snakemake("train_all").returncode == 0
    # As it is between the end of the pack's job and the rule that settles its runs.
    for trained in project.folder.glob("results/a/*/trained.json"):
        trained.rename(trained.with_name("finished.json"))
    for done in project.folder.glob("results/a/packs/*/done.json"):
        done.unlink()
    assert project.planned("train_all") == {"settle": 3, "train_all": 1}
    assert project.snakemake("train_all").returncode == 0
    assert _attempts(project) == [1, 1, 1]
    assert len(list(project.folder.glob("results/a/*/trained.json"))) == 3


@pytest.mark.parametrize("arguments", [("--lint",), ("--dag", "dot")])
def test_packs_are_drawn_and_linted(project, grid, arguments):
    project.configure({"a": _packed(grid, 3)})
    done = project.snakemake(*arguments)
    assert done.returncode == 0, done.stderr
    if "--lint" not in arguments:
        assert "train_pack" in done.stdout


def test_packs_in_a_module(project, grid):
    training = {"cluster": "local", "wandb": {"project": "p"}, "experiments": {"a": _packed(grid, 3)}}
    project.write("config/host.yaml", json.dumps({"training": training}))
    snakefile = project.write("Snakefile", MODULE.format(root=ROOT))
    assert project.planned(snakefile=snakefile) == {
        "training_runs": 1,
        "training_pack": 1,
        "training_train_pack": 1,
        "training_settle": 3,
        "all": 1,
    }
    done = project.snakemake(snakefile=snakefile)
    assert done.returncode == 0, done.stderr
    assert len(list((project.folder / "out" / "runs" / "a").glob("*/trained.json"))) == 3
    assert project.planned(snakefile=snakefile) == {}
