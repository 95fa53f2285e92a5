"""`sync: {sweeps: true}` through Snakemake: one sweep on the server, whatever is started how often."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from runferry_standin import running

if TYPE_CHECKING:
    from support.projects import Project

pytestmark = pytest.mark.slow

TRAIN = """
import wandb
run = wandb.init()
run.log({"loss": run.config.lr ** 2})
run.finish()
"""


def _configure(project: Project, rates: list[float]) -> None:
    sweep = {"method": "grid", "program": "train.py", "command": [sys.executable, "${program}"]}
    sweep["parameters"] = {"lr": {"values": rates}}
    project.configure({"rates": {"sweep": sweep, "resources": {"cores": 1}}}, sync={"sweeps": True})


def test_the_sweep_is_made_once_and_every_run_that_comes_is_counted_to_it(project: Project):
    project.write("train.py", TRAIN)
    noted = project.folder / "results" / "rates" / "sweep-on-server.json"
    _configure(project, [0.1, 1e-05])

    # Without a key: the runs are trained, nothing is asked for and nothing written down of a sweep.
    without = project.snakemake()
    assert without.returncode != 0
    assert "no key" in without.stderr
    assert len(list(project.folder.glob("results/rates/*/trained.json"))) == 2
    assert not noted.exists()

    with running() as server:
        project.environment |= server.environment | {"WANDB_ERROR_REPORTING": "false"}
        done = project.snakemake()
        assert done.returncode == 0, done.stderr
        (first,) = json.loads(noted.read_text()).values()
        runs = server.runs("demo", "tests")
        assert sorted(first["runs"]) == sorted(runs)
        assert len(runs) == 2
        assert {server.run("demo", "tests", run)["sweep"] for run in runs} == {first["name"]}
        assert {server.run("demo", "tests", run)["config"]["lr"] for run in runs} == {0.1, 1e-05}

        server.clear_requests()
        assert project.snakemake("--forcerun", "sync").returncode == 0
        assert "graphql:UpsertSweep" not in server.requests()["counts"]

        _configure(project, [0.1, 1e-05, 0.3])
        assert project.snakemake().returncode == 0
        (longer,) = json.loads(noted.read_text()).values()
        assert longer["name"] == first["name"]
        runs = server.runs("demo", "tests")
        assert len(runs) == 3
        assert {server.run("demo", "tests", run)["sweep"] for run in runs} == {first["name"]}
