"""Experiments that use another one's result: in packs, and where runs of the other one failed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.projects import Project

pytestmark = pytest.mark.slow

# Fails for the n that a file names; the loss is n, and the checkpoint says which run it is of.
PRETRAIN = """
import os, pathlib, sys
n = sys.argv[1].removeprefix("--n=")
if n in pathlib.Path("failing").read_text().split():
    sys.exit(3)
import wandb
run = wandb.init()
run.log({"loss": int(n)})
checkpoints = pathlib.Path(os.environ["RUNFERRY_CHECKPOINTS"])
checkpoints.mkdir(exist_ok=True)
(checkpoints / "last.txt").write_text(f"n is {n}")
run.finish()
"""
PACKED = {"side_by_side": 2, "one_after_another": 1}


@pytest.fixture
def pipeline(project: Project) -> Project:
    """Two experiments, the runs of one in a pack, each with one of three packed runs that needs it; and a chain."""
    project.write("train.py", PRETRAIN)
    sweep: dict[str, Any] = {
        "method": "grid",
        "program": "train.py",
        "command": [sys.executable, "${program}", "${args}"],
    }
    sweep |= {"metric": {"name": "loss", "goal": "maximize"}, "parameters": {"n": {"values": [1, 2]}}}
    experiments: dict[str, Any] = {}
    for name, packing in (("alone", False), ("packed", PACKED)):
        command = ["sh", "-c", 'cat "$1"; echo ", $2"', "sh", f"${{needs:{name}}}/last.txt", "${args}"]
        tune = {"method": "grid", "parameters": {"k": {"values": [1, 2, 3]}}, "command": command}
        experiments[name] = {"sweep": sweep, "packing": packing}
        experiments[f"tune-{name}"] = {"sweep": tune, "needs": [name], "packing": PACKED}
    experiments["last"] = {"command": ["true"], "needs": ["middle"]}
    experiments["middle"] = {"command": ["true"], "needs": ["alone"]}
    project.configure({name: {**one, "resources": {"cores": 1}} for name, one in experiments.items()})
    return project


def _not_started(said: str) -> dict[str, str]:
    lines = [line.removeprefix("runferry: ") for line in said.splitlines() if ": not started, because " in line]
    return dict(line.partition("; see ")[0].split(": not started, because ") for line in lines)


def test_what_needs_a_run_that_failed_is_not_started_and_one_line_says_why(pipeline: Project):
    planned = pipeline.planned("train_all")
    assert (planned["train_pack"], planned["settle"], planned["best"], planned["train"]) == (3, 6, 3, 6)
    needing = ["last", "middle", "tune-alone", "tune-packed"]
    # One of two failed is no better than both: which is the best, the other might have been.
    for failing in ("1 2", "2"):
        pipeline.write("failing", failing)
        failed = pipeline.snakemake("train_all")
        assert failed.returncode != 0
        found = f"of which {len(failing.split())} of 2 runs failed"
        assert _not_started(failed.stderr) == {
            "last": "it needs middle, which was not started either",
            "middle": f"it needs alone, {found}",
            "tune-alone": f"it needs alone, {found}",
            "tune-packed": f"it needs packed, {found}",
        }
        for name in needing:
            assert not list(pipeline.folder.glob(f"results/{name}/*/attempts"))
            assert not list(pipeline.folder.glob(f"results/{name}/packs/*/pack.log"))

    pipeline.write("failing", "")
    done = pipeline.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    for name in ("tune-alone", "tune-packed"):
        logs = pipeline.folder.glob(f"results/{name}/*/train.log")
        said = [line for log in logs for line in log.read_text().splitlines() if not line.startswith("runferry: ")]
        assert sorted(said) == ["n is 2, --k=1", "n is 2, --k=2", "n is 2, --k=3"]
    assert pipeline.planned("train_all") == {}


def test_a_bayes_sweep_of_which_every_run_failed_has_no_best_and_nothing_that_needs_it_is_started(
    project: Project, sweeps_cache
):
    project.environment["XDG_CACHE_HOME"] = str(sweeps_cache)
    sweep = {"method": "bayes", "command": ["false"], "metric": {"name": "loss"}}
    sweep["parameters"] = {"x": {"min": 0.0, "max": 1.0}}
    project.configure(
        {
            "search": {"sweep": sweep, "count": 2, "runs_per_round": 2},
            "after": {"command": ["cat", "${needs:search}/last.txt"], "needs": ["search"]},
        }
    )
    failed = project.snakemake("train_all")
    assert failed.returncode != 0
    assert "found no run that finished with a value of loss, expected one" in failed.stderr
    assert _not_started(failed.stderr) == {"after": "it needs search, of which 2 of 2 runs failed"}
    assert not list(project.folder.glob("results/after/*/attempts"))
