"""A bayes sweep that is stopped while a round trains goes on as the same sweep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from runferry_standin import StandIn, running
from support.bayes_definition import bayes_over_x

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.projects import Project

pytestmark = pytest.mark.slow

# The first round trains at once, the second one waits while the file is there.
TRAIN = """
import os, pathlib, time, wandb
folder = pathlib.Path(os.environ["RUNFERRY_RUN_FOLDER"])
run = wandb.init()
(folder / f"began-{os.environ['RUNFERRY_ATTEMPT']}").touch()
for step in range(3):
    run.log({"loss": (run.config.x - 1) ** 2 + 1 / (step + 1)})
second = pathlib.Path("results/search/rounds/2/runs.json")
while second.exists() and pathlib.Path("hold").exists():
    time.sleep(0.1)
run.finish()
with (folder / "done").open("a") as done:
    print("trained", file=done)
"""


@pytest.fixture
def server() -> Iterator[StandIn]:
    with running() as standin:
        yield standin


@pytest.fixture
def searching(project: Project, server: StandIn, sweeps_cache) -> Project:
    """A bayes sweep of four runs in two rounds, of which the second waits; its sweep is to be on the server."""
    project.environment |= server.environment | {
        "WANDB_ERROR_REPORTING": "false",
        "XDG_CACHE_HOME": str(sweeps_cache),
    }
    project.write("train.py", TRAIN)
    sweep = bayes_over_x(sys.executable)
    search = {"sweep": sweep, "count": 4, "runs_per_round": 2, "resources": {"cores": 1}}
    project.configure({"search": search}, sync={"sweeps": True})
    return project


def _chosen(project: Project) -> list[list[dict[str, Any]]]:
    files = sorted((project.folder / "results/search/rounds").glob("*/runs.json"))
    return [json.loads(file.read_text()) for file in files]


def _until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.1)


def _start_until_the_second_round_trains(project: Project) -> subprocess.Popen[bytes]:
    log = (project.folder / "first.log").open("w")
    project.write("hold", "")
    process = project.start(project.snakemake_command(), log, start_new_session=True)
    _until(lambda: len(list(project.folder.glob("results/search/*/began-1"))) == 4, "the second round to train")
    return process


def _assert_the_same_sweep_ended(project: Project, server: StandIn, before: list[list[dict[str, Any]]]) -> None:
    assert _chosen(project) == before
    runs = [run["id"] for chosen in before for run in chosen]
    assert len(set(runs)) == 4
    assert sorted(run.parent.name for run in project.folder.glob("results/search/*/run.json")) == sorted(runs)
    for run in runs:
        assert (project.folder / "results/search" / run / "done").read_text() == "trained\n"
    assert sorted(server.runs("demo", "tests")) == sorted(runs)
    held = [server.run("demo", "tests", run) for run in runs]
    assert {one["state"] for one in held} == {"finished"}
    (sweep,) = {one["sweep"] for one in held}
    (noted,) = json.loads((project.folder / "results/search/sweep-on-server.json").read_text()).values()
    assert (noted["name"], noted["runs"]) == (sweep, sorted(runs))
    assert project.planned() == {}


def test_ctrl_c_in_a_round_and_the_next_start_goes_on_with_its_runs(searching: Project, server: StandIn):
    process = _start_until_the_second_round_trains(searching)
    before = _chosen(searching)
    # As a terminal does it: to every process of the foreground group.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(90) != 0
    records = [json.loads(file.read_text()) for file in searching.folder.glob("results/search/*/attempts/1.json")]
    assert sorted(str(record["reason"]) for record in records) == ["None", "None", "stopped", "stopped"]
    assert not list(searching.folder.glob("results/search/rounds/2/[0-9].json")), "stopped is not ended"
    (searching.folder / "hold").unlink()
    done = searching.snakemake()
    assert done.returncode == 0, done.stderr
    _assert_the_same_sweep_ended(searching, server, before)
    assert [
        len(list((searching.folder / "results/search" / run["id"] / "attempts").glob("*.json"))) for run in before[1]
    ] == [2, 2]


def test_a_controller_that_is_killed_in_a_round_leaves_runs_that_are_trained_once(searching: Project, server: StandIn):
    process = _start_until_the_second_round_trains(searching)
    before = _chosen(searching)
    process.kill()
    process.wait()
    # What it has started goes on without it; the next start leaves it to that, and says so.
    too_early = searching.snakemake()
    assert too_early.returncode != 0
    assert "its lock is removed" in too_early.stderr
    assert "at work, expected none; this one leaves it to that" in too_early.stderr
    (searching.folder / "hold").unlink()
    _until(lambda: len(list(searching.folder.glob("results/search/rounds/2/[0-9].json"))) == 2, "the runs to end")
    done = searching.snakemake()
    assert done.returncode == 0, done.stderr
    _assert_the_same_sweep_ended(searching, server, before)
