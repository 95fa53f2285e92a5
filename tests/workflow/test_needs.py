"""Experiments that use another one's result: in packs, and where runs of the other one failed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Project

pytestmark = pytest.mark.slow

# Fails for the n that a file names; the loss is n, and the checkpoint says which run it is of.
PRETRAIN = """
import os, pathlib, sys, wandb
run = wandb.init()
n = run.config.n
failing = pathlib.Path("failing")
if failing.exists() and str(n) in failing.read_text().split():
    sys.exit(3)
run.log({"loss": n})
checkpoints = pathlib.Path(os.environ["RUNFERRY_CHECKPOINTS"])
checkpoints.mkdir(exist_ok=True)
(checkpoints / "last.txt").write_text(f"n is {n}")
run.finish()
"""
PACKED = {"side_by_side": 2, "one_after_another": 1}


def _configure(project: Project, *, goal: str = "minimize", **pretrain: Any) -> None:
    project.write("train.py", PRETRAIN)
    sweep = {
        "method": "grid",
        "program": "train.py",
        "command": [sys.executable, "${program}"],
        "metric": {"name": "loss", "goal": goal},
        "parameters": {"n": {"values": [1, 2]}},
    }
    sweep_of_tune = {"method": "grid", "parameters": {"k": {"values": [1, 2, 3]}}}
    sweep_of_tune["command"] = ["sh", "-c", 'cat "$1"; echo "k is $2"', "sh", "${needs:pretrain}/last.txt", "${args}"]
    cores = {"cores": 1}
    project.configure(
        {
            "pretrain": {"sweep": sweep, "resources": cores, **pretrain},
            "tune": {"sweep": sweep_of_tune, "needs": ["pretrain"], "resources": cores, "packing": PACKED},
        }
    )


def _said_by_tune(project: Project) -> list[str]:
    logs = project.folder.glob("results/tune/*/train.log")
    return sorted(line for log in logs for line in log.read_text().splitlines() if not line.startswith("runferry: "))


def _lines_about(text: str, said: str) -> list[str]:
    return [line for line in said.splitlines() if text in line]


def test_packs_need_the_best_of_packs(project: Project):
    _configure(project, goal="maximize", packing=PACKED)
    planned = project.planned("train_all")
    assert (planned["train_pack"], planned["settle"], planned["best"], planned["train"]) == (2, 4, 1, 1)
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    assert _said_by_tune(project) == sorted(["n is 2k is --k=1", "n is 2k is --k=2", "n is 2k is --k=3"])
    assert project.planned("train_all") == {}


@pytest.mark.parametrize("packing", [False, PACKED], ids=["jobs of their own", "packs"])
def test_nothing_that_needs_a_run_that_failed_is_started_and_one_line_says_why(project: Project, packing):
    project.write("failing", "1 2")
    _configure(project, packing=packing)
    failed = project.snakemake("train_all")
    assert failed.returncode != 0
    (line,) = _lines_about("tune", "\n".join(_lines_about("runferry: ", failed.stderr)))
    assert line == ""
    assert not list(project.folder.glob("results/tune/*/train.log"))

    # One of two is no better: which is the best, the other might have been.
    project.write("failing", "2")
    failed = project.snakemake("train_all")
    assert failed.returncode != 0
    assert not list(project.folder.glob("results/tune/*/train.log"))

    project.write("failing", "")
    done = project.snakemake("train_all")
    assert done.returncode == 0, done.stderr
    assert _said_by_tune(project)[0] == "n is 1k is --k=1"
