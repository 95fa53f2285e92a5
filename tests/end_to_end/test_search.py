"""Searches through Snakemake: points asked for one by one, of an engine, with failed and pruned runs."""

from __future__ import annotations

import json
import sys

import pytest

from runferry.config.search.state import Asked, Told, points_file, points_of, read_events
from runferry_standin import running

# What it was given and reached goes to a file of its own; it fails above 2.
TRAIN = """
import json, os, pathlib, sys, time
import wandb
run = wandb.init()
x = run.config.x
with open("ground-truth.jsonl", "a") as file:
    file.write(json.dumps({"run": run.id, "x": x, "begin": time.time()}) + "\\n")
if x > 2:
    sys.exit(3)
for step in range(3):
    run.log({"loss": (x - 1) ** 2 + 1 / (step + 1)})
time.sleep(0.5)
"""


def _search(**more) -> dict:
    sweep = {
        "program": "train.py",
        "command": [sys.executable, "${program}"],
        "metric": {"name": "loss", "goal": "minimize"},
        "scheduler": {"engine": "optuna"},
        "parameters": {"x": {"min": -3.0, "max": 3.0}},
    }
    return {"sweep": sweep, "count": 6, "parallel": 2, **more}


@pytest.mark.slow
def test_a_search_goes_on_point_by_point_with_what_failed(project):
    project.write("train.py", TRAIN)
    with running() as server:
        project.environment |= server.environment | {"WANDB_ERROR_REPORTING": "false"}
        project.configure({"search": _search()}, sync={"sweeps": True})
        planned = project.planned()
        assert planned == {"search": 1, "train_in_search": 6, "sync_place": 6, "report": 1, "all": 1}
        done = project.snakemake("--cores", "4")
        assert done.returncode == 0, done.stderr
        assert "6 points to come on 2 places, at most" in done.stderr
        events = read_events(points_file(project.folder / "results/search"))
        points = points_of(events)
        truth = [json.loads(line) for line in (project.folder / "ground-truth.jsonl").read_text().splitlines()]
        assert {point.run: point.parameters["x"] for point in points} == {one["run"]: one["x"] for one in truth}
        assert len(truth) == len(points) == 6
        # At most two at a time: when a point is asked for, all but one of those before have been told.
        told = 0
        for event in events:
            told += isinstance(event, Told)
            assert not isinstance(event, Asked) or event.asked - told <= 2, events
        for one in truth:
            held = server.run("demo", "tests", one["run"])
            assert held["state"] == ("failed" if one["x"] > 2 else "finished")
        # The start's last lines name the best run.
        best = min((one for one in truth if one["x"] <= 2), key=lambda one: abs(one["x"] - 1))
        (name,) = {json.loads((project.folder / "results/search" / best["run"] / "run.json").read_text())["name"]}
        line = (
            f"search: best loss {(best['x'] - 1) ** 2 + 1 / 3:.6g} ({name}): {server.url}/demo/tests/runs/{best['run']}"
        )
        assert line in "\n".join(done.stderr.splitlines()[-8:]), done.stderr
        # The sweep is on the server, once, and all of its runs are counted to it.
        (sweep,) = json.loads((project.folder / "results/search/sweep-on-server.json").read_text()).values()
        assert sorted(sweep["runs"]) == sorted(one["run"] for one in truth)
    assert project.planned("train_all") == {}
    assert "all 6 points have ended; best so far: loss" in project.snakemake("-n").stderr


@pytest.mark.slow
def test_a_source_that_fails_ends_a_start_in_one_line_also_where_another_machine_syncs(project):
    project.write("train.py", TRAIN)
    project.write("space.py", "def space(trial):\n    return 1 / 0\n")
    sweep = _search()["sweep"] | {"scheduler": {"engine": "optuna", "source": "space.py", "search_space": "space"}}
    del sweep["parameters"]
    project.configure({"search": _search(sweep=sweep)}, sync={"where": "remote"})
    done = project.snakemake()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (said,) = {
        line for line in done.stderr.splitlines() if "ZeroDivisionError" in line and line.startswith("runferry:")
    }
    assert "scheduler.source: found that optuna fails (line 2 of " in said
    assert "runferry: no run was started; fix what failed, then run: snakemake" in done.stderr
    assert "runferry pull" not in done.stderr
