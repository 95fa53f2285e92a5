"""A search on a real Slurm: points asked for when jobs are submitted, and a controller that is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from runferry.config.search.state import Told, points_file, points_of, read_events
from support.slurm.user import User, attempts

if TYPE_CHECKING:
    from pathlib import Path

    from runferry_standin import StandIn
    from support.slurm.cluster import Cluster

pytestmark = pytest.mark.slow
pytest.importorskip("optuna")

# The third that begins fails; runs last one to four seconds. When each was there goes to a file of its own.
TRAIN = """
import json, os, sys, time, wandb

begin = time.time()
number = sum(1 for _ in open("begun")) if os.path.exists("begun") else 0
with open("begun", "a") as file:
    file.write("x\\n")
run = wandb.init()
run.log({"loss": (run.config.x - 1) ** 2})
time.sleep(1 + number % 4)
run.finish(exit_code=3 if number == 2 else 0)
with open("truth.jsonl", "a") as file:
    file.write(json.dumps({"run": run.id, "x": run.config.x, "begin": begin, "end": time.time()}) + "\\n")
sys.exit(3 if number == 2 else 0)
"""


@pytest.fixture
def user(tmp_path: Path, cluster: Cluster, server: StandIn) -> User:
    return User(tmp_path / "scratch", cluster, TRAIN, **server.environment)


def _truth(user: User) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (user.folder / "truth.jsonl").read_text().splitlines()]


def test_a_search_whose_controller_is_killed_loses_no_point_and_asks_for_none_twice(user: User, server: StandIn):
    sweep = {
        "program": "train.py",
        "command": [user.python, "${program}"],
        "metric": {"name": "loss", "goal": "minimize"},
        "scheduler": {"engine": "optuna"},
        "parameters": {"x": {"min": -3.0, "max": 3.0}},
    }
    search = {"sweep": sweep, "count": 8, "parallel": 3, "resources": {"memory": "600M", "cores": 1, "time": "2m"}}
    user.configure({"search": search})
    file = points_file(user.folder / "results" / "search")
    controller = user.start("narval")
    end = time.monotonic() + 120
    while time.monotonic() < end and sum(isinstance(event, Told) for event in read_events(file)) < 2:
        time.sleep(0.3)
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    asked = [point.run for point in points_of(read_events(file))]
    assert 3 <= len(asked) < 8
    user.snakemake("narval", "--unlock")
    done = user.snakemake("narval")
    assert done.returncode == 0, done.stdout + done.stderr

    points, truth = points_of(read_events(file)), _truth(user)
    assert [point.run for point in points][: len(asked)] == asked
    assert sorted(one["run"] for one in truth) == sorted(point.run for point in points)
    assert len({json.dumps(point.parameters) for point in points}) == len(points) == 8
    assert {point.run: point.parameters["x"] for point in points} == {one["run"]: one["x"] for one in truth}
    # Never more than three at a time.
    for one in truth:
        assert sum(other["begin"] < one["begin"] < other["end"] for other in truth) <= 2
    jobs = [attempt["job"] for point in points for attempt in attempts(user.folder / "results/search" / point.run)]
    assert len(set(jobs)) == len(jobs) == 8
    ended = [json.loads((user.folder / f"results/search/search/{place}.json").read_text()) for place in range(1, 9)]
    failed = [one["run"] for one in ended if not one["finished"]]
    assert len(failed) == 1
    for point in points:
        state = server.run("demo", "tests", point.run)["state"]
        assert state == ("failed" if point.run in failed else "finished")
    assert user.jobs() == []


# The third is much worse than the two before, for as long as it is let. Rows go to a file of its own once logged.
PRUNED = """
import json, os, time, wandb

begin = time.time()
number = sum(1 for _ in open("begun")) if os.path.exists("begun") else 0
with open("begun", "a") as file:
    file.write("x\\n")
with open("begins.jsonl", "a") as file:
    file.write(json.dumps({"begin": begin, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}) + "\\n")
run = wandb.init()
with open(f"rows-of-{run.id}", "a", buffering=1) as file:
    for step in range(1500 if number == 2 else 30):
        # As long as that since wandb before 0.31 writes 32 KiB at a time, and only what is written is judged.
        run.log({"loss": 50.0 if number == 2 else 1 / (step + 1), "text": "x" * 4000})
        file.write(f"{step}\\n")
        time.sleep(0.1 if number == 2 else 0.01)
"""
STUDY = """
import optuna
def study(sweep):
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=5), pruner=pruner)
"""
# The engine is asked every second instead of once a minute.
OFTEN = """
import sys
if "launch-place" in sys.orig_argv:
    from runferry.launch import pruning
    pruning.ASK_SECONDS = 1.0
"""


def test_a_pruned_runs_job_ends_with_all_rows_on_the_server_and_its_gpu_goes_to_the_next(
    tmp_path: Path, cluster: Cluster, server: StandIn
):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(OFTEN)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    user = User(tmp_path / "scratch", cluster, PRUNED, **server.environment, PYTHONPATH=path)
    (user.folder / "study.py").write_text(STUDY)
    sweep = {
        "program": "train.py",
        "command": [user.python, "${program}"],
        "metric": {"name": "loss", "goal": "minimize"},
        "scheduler": {"engine": "optuna", "source": "study.py", "optimizer": "study"},
        "parameters": {"x": {"min": -3.0, "max": 3.0}},
    }
    resources = {"gpus": 1, "memory": "600M", "cores": 1, "time": "4m"}
    user.configure({"search": {"sweep": sweep, "count": 4, "parallel": 1, "resources": resources}})

    done = user.snakemake("narval")

    assert done.returncode == 0, done.stdout + done.stderr
    points = points_of(read_events(points_file(user.folder / "results" / "search")))
    assert [point.state for point in points] == ["finished", "finished", "pruned", None]
    begins = [json.loads(line) for line in (user.folder / "begins.jsonl").read_text().splitlines()]
    # It would have taken 150 seconds.
    assert begins[3]["begin"] - begins[2]["begin"] < 120
    assert len({one["gpu"] for one in begins}) == 1
    assert begins[0]["gpu"]
    for point in points:
        run = user.folder / "results" / "search" / point.run
        (attempt,) = attempts(run)
        assert attempt.get("pruned", False) == (point.number == 3), attempt
        held = server.run("demo", "tests", point.run)
        logged = len((user.folder / f"rows-of-{point.run}").read_text().splitlines())
        # The signal may come when a row is logged, and its line not written yet.
        assert [row["_step"] for row in held["history"]] == list(range(len(held["history"])))
        assert len(held["history"]) - logged in ({0, 1} if point.number == 3 else {0})
        assert held["state"] == "finished"
    assert user.jobs() == []
