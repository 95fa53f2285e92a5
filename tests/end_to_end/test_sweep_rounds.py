"""Sweeps through Snakemake: rounds of a bayes sweep, tables, and experiments that use another one's result."""

from __future__ import annotations

import json
import sys

import pytest

from runferry_standin import running
from support.bayes_definition import bayes_over_x

# Logs a parabola with its least at 1, from what wandb.config holds: it reads no arguments.
PARABOLA = """
import os, pathlib, sys
import wandb
run = wandb.init()
x = wandb.config.x
if x > 1.5:
    sys.exit(3)
for step in range(3):
    run.log({"loss": (x - 1) ** 2 + 1 / (step + 1)})
pathlib.Path(os.environ["RUNFERRY_CHECKPOINTS"]).mkdir(exist_ok=True)
(pathlib.Path(os.environ["RUNFERRY_CHECKPOINTS"]) / "last.txt").write_text(str(x))
"""


def _bayes(**more) -> dict:
    sweep = bayes_over_x(sys.executable)
    return {"sweep": sweep, "count": 5, "runs_per_round": 3, **more}


def _rounds(project) -> list[list[dict]]:
    files = sorted((project.folder / "results" / "search" / "rounds").glob("*/runs.json"))
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.slow
def test_a_bayes_sweep_goes_on_from_round_to_round_with_what_failed_and_gives_its_best(project, sweeps_cache):
    project.write("train.py", PARABOLA)
    needing = {"command": ["cat", "${needs:search}/last.txt"], "needs": ["search"]}
    with running() as server:
        project.environment |= server.environment | {
            "WANDB_ERROR_REPORTING": "false",
            "XDG_CACHE_HOME": str(sweeps_cache),
        }
        project.configure({"search": _bayes(), "after": needing})
        assert project.planned() == {
            "choose_round": 2,
            "train_in_round": 5,
            "sync_round": 2,
            "best": 1,
            "runs": 1,
            "train": 1,
            "sync": 1,
            "report": 1,
            "all": 1,
        }
        # A run without W&B has no receipt: what it prints is all that is wanted of it.
        project.snakemake("train_all", "results/search/rounds/1/synced.json", "results/search/rounds/2/synced.json")
        rounds = _rounds(project)
        assert [len(runs) for runs in rounds] == [3, 2]
        runs = [run for chosen in rounds for run in chosen]
        failed = [run for run in runs if run["parameters"]["x"] > 1.5]
        assert failed, "the seed is one with which some run fails"
        for run in runs:
            held = server.run("demo", "tests", run["id"])
            assert held["state"] == ("failed" if run in failed else "finished")
            assert (
                held["config"]["x"] == {"value": run["parameters"]["x"]}
                or held["config"]["x"] == run["parameters"]["x"]
            )
    best = min((run for run in runs if run not in failed), key=lambda run: abs(run["parameters"]["x"] - 1))
    assert json.loads((project.folder / "results/search/best.json").read_text())["run"] == best["id"]
    (log,) = project.folder.glob("results/after/*/train.log")
    assert str(best["parameters"]["x"]) in log.read_text()
    assert project.planned("train_all") == {}

    # Longer: what is chosen stays, and what is missing of the last round comes to it.
    project.configure({"search": _bayes() | {"count": 6}, "after": needing})
    assert project.snakemake("results/search/rounds/2/3.json").returncode == 0
    assert [len(chosen) for chosen in _rounds(project)] == [3, 3]
    assert [run for chosen in _rounds(project) for run in chosen][:5] == runs

    # Another command would mean other runs under the same rounds.
    changed = _bayes() | {"count": 7}
    changed["sweep"]["command"].append("--more")
    project.configure({"search": changed})
    refused = project.snakemake("results/search/rounds/3/1.json")
    assert refused.returncode != 0
    assert "found runs of another command or definition" in refused.stderr


def test_a_table_is_as_good_as_a_sweep_and_what_needs_it_waits_for_the_best(project, grid):
    project.write("runs.csv", "a,b\n1,x\n2,y\n")
    sweep = {**grid(3), "metric": {"name": "loss"}}
    project.configure(
        {
            "table": {"runs": "runs.csv", "command": ["true", "${args}"]},
            "first": {"sweep": sweep},
            "second": {"command": ["true", "${needs:first}"], "needs": ["first"]},
        }
    )
    assert project.planned("train_all") == {"runs": 3, "train": 6, "best": 1, "train_all": 1}


def test_whole_nodes_are_not_given_to_single_runs_of_a_bayes_sweep(project):
    project.write("train.py", PARABOLA)
    project.configure({"search": _bayes(resources={"gpus": 1})}, cluster="tamia", account="x")
    done = project.run(
        *project.snakemake_command(profile=False),
        *("-n", "--cores", "1", "--configfile", "config/config.yaml"),
    )
    assert done.returncode != 0
    assert "found 1 for a bayes sweep, whose runs do not share jobs" in done.stderr
