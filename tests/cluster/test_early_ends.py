"""Jobs that end early on a real Slurm: what was logged arrives once, and goes on where nobody is to blame."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from runferry_standin import running
from support.slurm.ending_early import (
    TRAIN,
    assert_held_once,
    experiment,
    has_logged,
    logged,
    reasons,
    receipt,
    run_of,
    wait_until,
)
from support.slurm.user import User, attempts, rows_on_disk

if TYPE_CHECKING:
    from pathlib import Path

    from support.slurm.cluster import Cluster

# One workflow trains them all, side by side, and each meets its own end; the first test waits for it.
pytestmark = pytest.mark.slow

LOST_AT_MOST = 8
"""Rows, at two a second: wandb's buffer (`in_job.FLUSH_SECONDS`) and the moment in which it is written."""

OLDER = "-older"
"""Of the names of experiments that train with an older wandb."""
BOTH = pytest.mark.parametrize("suffix", ["", OLDER])


@pytest.fixture(scope="module")
def server():
    with running(key="5ec2e7" * 7) as standin:
        yield standin


@pytest.fixture(scope="module")
def ended(tmp_path_factory, _running_cluster: Cluster, server, wandb_python) -> User:
    """A workflow in which jobs end early, each in its own way, and all has been done that can be done about it."""
    user = User(tmp_path_factory.mktemp("early") / "scratch", _running_cluster, TRAIN, **server.environment)
    minute = {"resources": {"time": "1m"}, "warning": {"before": "40s"}}
    # With the newest wandb, and with that of the sites' wheelhouse.
    pythons = {"": user.python, OLDER: wandb_python("0.27.2")}
    ways: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "automatic": ((1, "save", "heed", "automatic", "until 2"), {"attempts": 4, **minute}),
        "killed": ((0.5, "save"), {}),
        "everybody": ((0.5, "save", "heed"), {}),
        "failing": ((0.2, "fail"), {}),
        "filling": ((0.2, "fill"), {"resources": {"memory": "600M"}}),
    }
    user.configure(
        {
            "limit": experiment(user, 600, 1, "save", "heed", "until 3", attempts=4, **minute),
            "restart": experiment(user, 600, 1, attempts=2, **minute),
            "atonce": experiment(user, 600, 0.5, "save", "heed"),
        }
        | {
            f"{name}{suffix}": experiment(user, 600, *words, python=python, **settings)
            for suffix, python in pythons.items()
            for name, (words, settings) in ways.items()
        }
    )
    controller = user.start("narval")
    cluster = _running_cluster

    def job(name: str) -> str:
        wait_until(has_logged(user, name, 8), f"eight steps of {name}")
        return (run_of(user, name) / "job").read_text()

    try:
        for suffix in pythons:
            node = _node_of(cluster, job(f"killed{suffix}"))
            cluster.on_node(node, "kill", "-KILL", (run_of(user, f"killed{suffix}") / "pid").read_text())
            _to_all_processes(cluster, job(f"everybody{suffix}"))
        # Of all processes srun among them, which then kills the others at once.
        cluster.run("scancel", "--signal=TERM", "--full", job("atonce"))
        controller.wait(400)
    finally:
        if controller.poll() is None:
            os.killpg(controller.pid, signal.SIGKILL)
    return user


def _node_of(cluster: Cluster, job: str) -> str:
    return cluster.run("squeue", "--noheader", f"--jobs={job}", "--format=%N").strip()


def _to_all_processes(cluster: Cluster, job: str) -> None:
    """Send SIGTERM to every process of the plugin's step, as Slurm does where it follows processes otherwise."""
    node = _node_of(cluster, job)
    listed = cluster.on_node(node, "scontrol", "listpids", f"{job}.0").splitlines()[1:]
    cluster.on_node(node, "kill", "-TERM", *(line.split()[0] for line in listed), check=False)


def test_a_time_limit_with_a_checkpoint_is_three_jobs_and_one_wandb_run(ended: User, server):
    run = run_of(ended, "limit")
    assert reasons(run) == ["time limit", "time limit", None]
    assert len({record["job"] for record in attempts(run)}) == 3
    steps = logged(run)
    assert steps == list(range(len(steps)))
    held = assert_held_once(server, run)
    assert held["state"] == "finished"
    assert receipt(run)["disk"]["history_lines"] == len(steps)


@BOTH
def test_steps_that_the_script_leaves_to_wandb_go_on_in_the_next_job(ended: User, server, suffix):
    run = run_of(ended, f"automatic{suffix}")
    assert reasons(run) == ["time limit", None]
    assert_held_once(server, run)


def test_a_time_limit_without_a_checkpoint_is_tried_as_often_as_allowed(ended: User, server):
    run = run_of(ended, "restart")
    assert reasons(run) == ["time limit", "time limit"]
    # The second job began again at step 0: as W&B itself does, a step that is there is not overwritten.
    held = assert_held_once(server, run)
    assert held["state"] == "failed"
    assert not (run / "trained.json").exists()
    assert "as many as `attempts` allows" in (ended.folder / "controller.log").read_text()


@BOTH
def test_a_training_that_was_killed_is_not_run_again_and_every_row_arrives(ended: User, server, suffix):
    run = run_of(ended, f"killed{suffix}")
    assert reasons(run) == ["killed"]
    assert attempts(run)[0]["signal"] == "SIGKILL"
    assert assert_held_once(server, run)["state"] == "failed"


@BOTH
def test_sigterm_to_all_processes_of_the_job_loses_no_row(ended: User, server, suffix):
    run = run_of(ended, f"everybody{suffix}")
    assert reasons(run) == ["stopped"]
    assert_held_once(server, run)
    assert not (run / "trained.json").exists()


def test_sigterm_to_the_job_script_and_its_srun_too_loses_a_moment_at_most(ended: User, server):
    run = run_of(ended, "atonce")
    assert reasons(run)[0] in {"killed", "stopped", "cancelled"}
    assert len(reasons(run)) == 1
    written = _steps_that_were_written(run)
    if written:
        assert_held_once(server, run, written)
    else:
        # Of a log without a record there is nothing to sync, and nothing to confirm.
        assert not list(run.glob("*receipt.json"))


@BOTH
def test_a_command_that_fails_by_itself_is_run_once(ended: User, server, suffix):
    run = run_of(ended, f"failing{suffix}")
    assert reasons(run) == ["failed"]
    assert attempts(run)[0]["exit_code"] == 3
    assert_held_once(server, run, [0, 1, 2, 3])


@BOTH
def test_a_job_out_of_memory_is_named_so_and_run_once(ended: User, server, suffix):
    run = run_of(ended, f"filling{suffix}")
    assert reasons(run) == ["out of memory"]
    # Killed together with its launcher, or alone.
    assert re.match(
        r"Slurm ended it, out of memory: |ended without a word \(out of memory\)", attempts(run)[0]["message"]
    )
    assert_held_once(server, run)


def test_no_job_is_left(ended: User):
    assert ended.jobs() == []


def _steps_that_were_written(run: Path) -> list[int]:
    """Of the steps that were trained those that the disk has: SIGKILL of everything at once loses a moment's."""
    written = sorted(rows_on_disk(run, "loss"))
    if os.environ.get("TRAINING_WANDB", "0.31") >= "0.31":
        # An older one writes 32 KiB at a time, which is more than these trainings log.
        assert len(logged(run)) - len(written) <= LOST_AT_MOST
    return written
