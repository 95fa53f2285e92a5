"""A search on a real Slurm: points asked for when jobs are submitted, and a controller that is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from runferry.config.search.state import points_file, points_of, read_events
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
    while time.monotonic() < end and sum("told" in event for event in read_events(file)) < 2:
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
