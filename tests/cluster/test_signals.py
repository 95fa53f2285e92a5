"""What Slurm sends to a job reaches the training, and every row that it trained is on the server, with each wandb."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from runferry_standin import running
from support.slurm.cluster import exclusively
from support.slurm.ending_early import TRAIN, assert_held_once, experiment, has_logged, reasons, run_of, wait_until
from support.slurm.sites import URGENT_PARTITION
from support.slurm.user import PLUGIN, User, attempts

if TYPE_CHECKING:
    from support.slurm.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WANDB_VERSIONS = ["0.22.3", "0.27.2", "0.31.0"]
# With somebody else's executor a job that is preempted and not requeued is waited for for ever (plugin 2.8.0).
NEVER_ENDS = "gone"
WHOLE_NODE = {"cores": 48}


WAYS = [*((version, "runferry") for version in WANDB_VERSIONS), ("0.27.2", "slurm")]


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def way(request) -> tuple[str, str]:
    """A version of wandb, and the executor."""
    return request.param


# One for each way: the runs of two ways with the same wandb have the same ids.
@pytest.fixture(scope="module")
def server(way):
    with running(key="5ec2e7" * 7) as standin:
        yield standin


@pytest.fixture(scope="module")
def ended(way, tmp_path_factory, _running_cluster: Cluster, server, wandb_python) -> User:
    """A workflow whose jobs are cancelled, requeued and preempted once they have trained for a while."""
    version, executor = way
    folder = tmp_path_factory.mktemp("signals") / "scratch"
    with exclusively(_running_cluster.folder):
        return _end(folder, _running_cluster, server, wandb_python(version), PLUGIN if executor == "slurm" else [])


def _end(folder, cluster: Cluster, server, python, options: list[str]) -> User:
    user = User(folder, cluster, TRAIN, **server.environment)
    user.python = str(python)
    minute = {"resources": {"time": "1m"}, "warning": {"before": "40s"}}
    experiments = {
        "preempted": experiment(user, 600, 0.5, "save", "until 2", resources=WHOLE_NODE),
        "gone": experiment(user, 600, 0.5, "save", "until 2", resources=WHOLE_NODE),
        "cancelled": experiment(user, 600, 0.5, "save"),
        "cancelled2": experiment(user, 600, 0.5, "save", "heed"),
        "requeued": experiment(user, 600, 0.5, "save", "until 2"),
        "requeued2": experiment(user, 600, 0.5, "save", "heed", "until 2"),
        "limit": experiment(user, 600, 1, "save", "heed", "until 2", attempts=3, **minute),
        "deaf": experiment(user, 600, 0.5, "save", "deaf"),
    }
    preempted = ["preempted", NEVER_ENDS]
    if options:
        del experiments[NEVER_ENDS]
        preempted.remove(NEVER_ENDS)
    user.configure(experiments)
    controller = user.start("narval", *options)

    def job(name: str) -> str:
        wait_until(has_logged(user, name, 20), f"twenty steps of {name}")
        return (run_of(user, name) / "job").read_text()

    try:
        jobs = {name: job(name) for name in (*preempted, "requeued", "requeued2", "cancelled", "cancelled2")}
        if NEVER_ENDS in jobs:
            cluster.run("scontrol", "update", f"job={jobs[NEVER_ENDS]}", "requeue=0")
        urgent = ["--account=def-test_cpu", f"--partition={URGENT_PARTITION}", "--exclusive", "--wrap=sleep 5"]
        for name in preempted:
            node = attempts(run_of(user, name))[-1]["host"]
            cluster.submit(*urgent, f"--nodelist={node}", cwd=user.folder)
        cluster.run("scontrol", "requeue", jobs["requeued"])
        cluster.run("scontrol", "requeue", jobs["requeued2"])
        cluster.run("scancel", jobs["cancelled"])
        cluster.run("scancel", jobs["cancelled2"])
        cluster.run("scancel", job("deaf"))
        controller.wait(500)
    finally:
        if controller.poll() is None:
            os.killpg(controller.pid, signal.SIGKILL)
    return user


@pytest.mark.parametrize(
    ("name", "state"),
    # The second one heeds the signal and ends its W&B run itself.
    [("cancelled", "failed"), ("cancelled2", "finished")],
    ids=["cancelled", "cancelled2"],
)
def test_a_cancelled_run_has_every_row_on_the_server(ended: User, server, name, state):
    run = run_of(ended, name)
    assert assert_held_once(server, run)["state"] == state
    assert reasons(run) == ["cancelled"]


@pytest.mark.parametrize("name", ["requeued", "requeued2"])
def test_a_requeued_run_has_every_row_on_the_server(ended: User, server, name):
    run = run_of(ended, name)
    assert assert_held_once(server, run)["state"] == "finished"
    assert reasons(run) == ["requeued", None]
    # Slurm itself ran it again.
    assert len({record["job"] for record in attempts(run)}) == 1


@pytest.mark.parametrize(("name", "jobs"), [("preempted", 1), ("gone", 2)])
def test_a_preempted_run_has_every_row_on_the_server(ended: User, server, name, jobs):
    if not ended.runs(name):
        assert name == NEVER_ENDS
        return
    run = run_of(ended, name)
    assert assert_held_once(server, run)["state"] == "finished"
    assert reasons(run) == ["preempted", None]
    assert len({record["job"] for record in attempts(run)}) == jobs


def test_a_run_at_its_time_limit_has_every_row_on_the_server(ended: User, server):
    run = run_of(ended, "limit")
    assert assert_held_once(server, run)["state"] == "finished"
    assert reasons(run) == ["time limit", None]


def test_a_run_that_does_not_hear_is_ended_in_time_for_its_rows(ended: User, server):
    run = run_of(ended, "deaf")
    assert_held_once(server, run)
    assert reasons(run) == ["cancelled"]
    assert "after its warning (SIGTERM, cancelled), and was ended by runferry" in attempts(run)[0]["message"]


def test_what_goes_on_is_said_now_and_then(ended: User, way):
    log = (ended.folder / "controller.log").read_text()
    said = [line for line in log.splitlines() if re.match(r"runferry: \d+ runs?: ", line)]
    if way[1] == "slurm":
        assert said == []
        return
    # Snakemake lasts for a minute or two here.
    assert 1 <= len(said) <= 3
    assert len(set(said)) == len(said)
    assert re.fullmatch(r"runferry: \d runs: (\d queued, )?\d running; for more, run: runferry status", said[0])
    assert log.count("runferry status") == 1
