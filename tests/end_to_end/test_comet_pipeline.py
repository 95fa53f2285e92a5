"""`tracker: comet` through Snakemake: from the plan to the receipts, and what is refused before anything runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.comet_standin import KEY, comet_running

COMET = {"tracker": "comet", "comet": {"project": "numbers"}}
TRAIN = """
import os, sys
import comet_ml
assert "COMET_API_KEY" not in os.environ or not os.environ.get("SLURM_JOB_ID")
experiment = comet_ml.start()
for step in range(3):
    experiment.log_metric("loss", int(sys.argv[1].partition("=")[2]) + step, step=step)
"""


@pytest.mark.slow
def test_runs_are_trained_synced_and_reported_and_the_second_time_nothing_is_done(
    project, comet_python: Callable[[str], Path]
):
    python = comet_python("newest")
    script = project.write("train.py", TRAIN)
    sweep = {
        "method": "grid",
        "parameters": {"n": {"values": [10, 20]}},
        "command": [str(python), str(script), "${args}"],
    }
    project.configure({"digits": {"sweep": sweep}}, **COMET)
    with comet_running() as server:
        project.environment |= server.environment | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
        done = project.snakemake()
        assert done.returncode == 0, done.stderr
        assert "Comet offline: " in done.stderr
        values = sorted(experiment.values("loss") for experiment in server.experiments.values())
        assert values == [[10, 11, 12], [20, 21, 22]]
        assert {experiment.project for experiment in server.experiments.values()} == {"numbers"}
        assert server.unknown == []
        receipts = [json.loads(file.read_text()) for file in project.folder.glob("results/digits/*/receipt.json")]
        assert [receipt["tracker"] for receipt in receipts] == ["comet", "comet"]
        assert "logs to Comet" in (project.folder / "results/digits/report.html").read_text()
        asked = len(server.requests)
        assert project.planned() == {}
        again = project.snakemake()
        assert again.returncode == 0, again.stderr
        assert len(server.requests) == asked
    for file in (project.folder / "results").rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"tracker": "comet"},
            "config: comet: found nothing, expected a mapping with the Comet project, since tracker is comet",
        ),
        (
            {"tracker": "comets", "comet": {"project": "p"}},
            'config: tracker: found "comets", expected one of wandb, comet',
        ),
        (
            {**COMET, "comet": {"project": "p", "mode": "online"}},
            "config: comet.mode: found an unknown key, expected one of project, workspace, tags, base_url",
        ),
        (
            {**COMET, "sync": {"watch": True}},
            "config: sync.watch: found true, expected false with `tracker: comet`: only W&B runs have it",
        ),
    ],
    ids=["no-section", "unknown", "online", "watch"],
)
def test_what_cannot_be_had_with_comet_is_one_line_before_anything_runs(project, config, said):
    project.configure({"a": {"command": ["true"]}}, **config)
    done = project.snakemake("-n")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_sweep_that_is_decided_by_metrics_is_refused_with_comet(project, grid):
    sweep = {**grid(2), "method": "bayes", "metric": {"name": "loss", "goal": "minimize"}}
    project.configure({"a": {"sweep": sweep, "count": 4}}, **COMET)
    done = project.snakemake("-n")
    assert done.returncode == 1
    refused = "config: experiments.a: found a sweep whose results choose its runs, expected none with `tracker: comet`"
    assert f"{refused}: runferry reads such metrics from W&B runs only" in done.stderr


def test_without_a_tracker_in_the_config_nothing_of_a_run_s_record_is_new(project, grid):
    project.configure({"a": {"sweep": grid(1, ["true"])}})
    assert project.snakemake("train_all", "--forcerun", "runs", "--until", "runs").returncode == 0
    (record,) = [json.loads(file.read_text()) for file in project.folder.glob("results/a/*/run.json")]
    assert "tracker" not in record
    assert record["wandb"]["group"] == "a"
