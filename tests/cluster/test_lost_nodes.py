"""Nodes that are lost, preempted or left without their scheduler: no run is trained twice at once, no row is lost."""

from __future__ import annotations

import time

import pytest

from support.slurm.cluster import Cluster
from support.slurm.ending_early import (
    TRAIN,
    assert_held_once,
    experiment,
    has_logged,
    reasons,
    run_of,
    wait_until,
)
from support.slurm.sites import DEFAULT_PARTITION, URGENT_PARTITION
from support.slurm.user import User, attempts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

WHOLE_NODE = {"cores": 48}


@pytest.fixture
def user(tmp_path, cluster_alone: Cluster, server) -> User:
    return User(tmp_path / "scratch", cluster_alone, TRAIN, **server.environment)


def _node_of(user: User, name: str) -> str:
    return attempts(run_of(user, name))[-1]["host"]


def _wait_until_idle(cluster: Cluster) -> None:
    # Slurm itself takes a node back when that registers again, which may be minutes later.
    cluster.run("scontrol", "update", f"nodename={','.join(cluster.nodes)}", "state=resume", check=False)
    wait_until(lambda: {*cluster.states().values()} == {"idle"}, f"idle nodes, found {cluster.states()}")


def _assert_finished_whole(server, run) -> None:
    assert assert_held_once(server, run)["state"] == "finished"


def test_a_run_goes_on_elsewhere_when_its_node_is_lost_though_the_lost_node_goes_on(
    user, cluster_alone, server, wandb_python
):
    user.configure(
        {
            "slurmd": experiment(user, 600, 0.5, "save", "until 2", resources=WHOLE_NODE),
            "cable": experiment(user, 600, 0.5, "save", "until 2", resources=WHOLE_NODE, python=wandb_python("0.27.2")),
        }
    )
    dead = cut = None
    controller = user.start("narval")
    try:
        for name in ("slurmd", "cable"):
            wait_until(has_logged(user, name, 6), f"six steps of {name}")
        dead, cut = _node_of(user, "slurmd"), _node_of(user, "cable")
        assert dead != cut
        cluster_alone.kill_slurmd(dead)
        cluster_alone.set_cable(cut, "down")
        assert controller.wait(400) == 0, (user.folder / "controller.log").read_text()
    finally:
        controller.kill()
        if cut:
            cluster_alone.set_cable(cut, "up")
            cluster_alone.start_slurmd(dead)
        _wait_until_idle(cluster_alone)
    for name in ("slurmd", "cable"):
        run = run_of(user, name)
        first, second = attempts(run)
        assert second["outcome"] == "finished"
        assert second["host"] not in {dead, cut}
        # The first one saw that it had been given up, and ended before the second one began to log.
        assert first["reason"] in {"superseded", "node failure"}
        lines = [line.split() for line in (run / "logged").read_text().splitlines()]
        assert [attempt for attempt, _ in lines] == sorted(attempt for attempt, _ in lines)
        _assert_finished_whole(server, run)


@pytest.mark.parametrize("version", ["0.27.2", "0.31.0"])
def test_a_preempted_run_has_the_grace_time_that_slurm_gives_and_no_row_is_lost(
    user, cluster_alone, server, wandb_python, version
):
    user.python = str(wandb_python(version))
    user.configure(
        {
            "slow": experiment(user, 600, 0.5, "save", "heed", "slow", "until 2", resources=WHOLE_NODE),
            "deaf": experiment(user, 600, 0.5, "save", "deaf", "until 2", resources=WHOLE_NODE),
        }
    )
    cluster_alone.run("scontrol", "update", f"partitionname={DEFAULT_PARTITION}", "gracetime=20")
    controller = user.start("narval")
    try:
        for name in ("slow", "deaf"):
            wait_until(has_logged(user, name, 6), f"six steps of {name}")
        urgent = ["--account=def-test_cpu", f"--partition={URGENT_PARTITION}", "--exclusive", "--wrap=sleep 5"]
        for name in ("slow", "deaf"):
            cluster_alone.submit(*urgent, f"--nodelist={_node_of(user, name)}", cwd=user.folder)
        assert controller.wait(400) == 0, (user.folder / "controller.log").read_text()
    finally:
        controller.kill()
        cluster_alone.run("scontrol", "update", f"partitionname={DEFAULT_PARTITION}", "gracetime=0")
    for name in ("slow", "deaf"):
        run = run_of(user, name)
        assert reasons(run) == ["preempted", None]
        _assert_finished_whole(server, run)
    message = attempts(run_of(user, "deaf"))[0]["message"]
    assert "after its warning (SIGTERM, preempted), and was ended by runferry" in message


def test_an_outage_of_slurm_is_waited_out(user, cluster_alone, server, wandb_python):
    user.configure(
        {
            # Ends while the scheduler is away.
            "short": experiment(user, 40, 0.5, python=wandb_python("0.27.2")),
            "long": experiment(user, 170, 0.5),
        }
    )
    cluster_alone.stop_slurmctld()
    controller = user.start("narval")
    log = user.folder / "controller.log"
    try:
        wait_until(lambda: "Slurm does not answer; trying to submit" in log.read_text(), "word of the outage")
        cluster_alone.start_slurmctld()
        for name in ("short", "long"):
            wait_until(has_logged(user, name, 6), f"six steps of {name}")
        cluster_alone.stop_slurmdbd()
        cluster_alone.stop_slurmctld()
        time.sleep(60)
        assert controller.poll() is None, log.read_text()
        cluster_alone.start_slurmctld()
        assert controller.wait(300) == 0, log.read_text()
    finally:
        controller.kill()
        if "slurmdbd" not in cluster_alone.daemons():
            cluster_alone.start_slurmdbd()
        if "slurmctld" not in cluster_alone.daemons():
            cluster_alone.start_slurmctld()
        _wait_until_idle(cluster_alone)
    for name in ("short", "long"):
        run = run_of(user, name)
        assert reasons(run) == [None]
        assert assert_held_once(server, run)["state"] == "finished"
