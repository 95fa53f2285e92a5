"""A bayes sweep on a real Slurm: rounds of jobs of which some end early, and what the next round is told of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runferry.runs.folder import RunFolder
from runferry.workflow.best_run import read_result
from support.bayes_definition import bayes_over_x
from support.slurm.ending_early import reasons
from support.slurm.user import User, attempts, rows_on_disk

if TYPE_CHECKING:
    from pathlib import Path

    from runferry_standin import StandIn
    from support.slurm.cluster import Cluster

pytestmark = pytest.mark.slow

# The first three that come each have an end of their own, whatever parameters they have.
TRAIN = """
import os, signal, sys, time, wandb

def role():
    for name in ("limit", "fill", "fail"):
        try:
            os.mkdir(name)
        except FileExistsError:
            continue
        return name

run = wandb.init()
for step in range(3):
    run.log({"loss": (run.config.x - 1) ** 2 + 1 / (step + 1)})
role = role()
if role:
    with open(os.environ["RUNFERRY_RUN_FOLDER"] + "/role", "w") as file:
        file.write(role)
if role == "limit":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    time.sleep(120)
if role == "fill":
    hoard = bytearray(os.urandom(1 << 20) * 800)
    time.sleep(1)
if role == "fail":
    sys.exit(3)
"""


@pytest.fixture
def user(tmp_path: Path, cluster: Cluster, server: StandIn, sweeps_cache: Path) -> User:
    return User(tmp_path / "scratch", cluster, TRAIN, XDG_CACHE_HOME=str(sweeps_cache), **server.environment)


def _rounds(user: User) -> list[list[dict[str, Any]]]:
    files = sorted((user.folder / "results" / "search" / "rounds").glob("*/chosen.json"))
    return [json.loads(file.read_text()) for file in files]


def test_rounds_go_on_over_time_limits_and_with_runs_that_failed(user: User, server: StandIn):
    sweep = bayes_over_x(user.python)
    # The warning comes half a minute after the start of the job.
    search = {"sweep": sweep, "count": 5, "runs_per_round": 3, "attempts": 3, "warning": {"before": "30s"}}
    user.configure({"search": search | {"resources": {"memory": "600M", "cores": 2, "time": "1m"}}})
    done = user.snakemake("narval")
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = _rounds(user)
    assert [len(chosen) for chosen in rounds] == [3, 2]
    folders = {run["id"]: user.folder / "results" / "search" / run["id"] for chosen in rounds for run in chosen}
    roles = {(folders[run["id"]] / "role").read_text(): folders[run["id"]] for run in rounds[0]}
    assert roles.keys() == {"limit", "fill", "fail"}

    # The executor guard has given another job to the one that nobody is to blame for, and to no other.
    assert reasons(roles["limit"]) == ["time limit", None]
    assert "goes on in another job (2 of 3 at most)" in done.stderr
    assert reasons(roles["fill"]) == ["out of memory"]
    assert reasons(roles["fail"]) == ["failed"]
    jobs = [attempt["job"] for folder in folders.values() for attempt in attempts(folder)]
    assert len(set(jobs)) == len(jobs) == 6

    # Failed is a result, which the next round is told, and which is on the server with all that was logged.
    failed = {roles["fill"].name, roles["fail"].name}
    told = {name: read_result(RunFolder(folder), "loss") for name, folder in folders.items()}
    assert {name for name, result in told.items() if result.state == "failed"} == failed
    assert all(result.values for result in told.values())
    for number, chosen in enumerate(rounds, 1):
        for place, run in enumerate(chosen, 1):
            ended = json.loads((user.folder / f"results/search/rounds/{number}/{place}.json").read_text())
            assert ended == {"run": run["id"], "finished": run["id"] not in failed}
            held = server.run("demo", "tests", run["id"])
            assert held["state"] == ("failed" if run["id"] in failed else "finished")
            assert [row["loss"] for row in held["history"]] == rows_on_disk(folders[run["id"]], "loss") != []
            kind = "interim-receipt.json" if run["id"] in failed else "receipt.json"
            assert (folders[run["id"]] / kind).exists()
    assert user.jobs() == []

    again = user.snakemake("narval")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr
