"""Snakemake itself is killed, interrupted or started twice: no run is submitted a second time, no job is forgotten."""

from __future__ import annotations

import os
import re
import signal

import pytest

from support.slurm.cluster import Cluster
from support.slurm.ending_early import TRAIN, assert_held_once, experiment, has_logged, run_of, wait_until
from support.slurm.user import User, attempts

pytestmark = pytest.mark.slow


@pytest.fixture
def older(wandb_python) -> str:
    """An interpreter with the wandb of the sites' wheelhouse."""
    return str(wandb_python("0.27.2"))


@pytest.fixture
def user(tmp_path, cluster: Cluster, server, older) -> User:
    user = User(tmp_path / "scratch", cluster, TRAIN, **server.environment)
    user.configure({"first": experiment(user, 50, 0.5), "second": experiment(user, 50, 0.5, python=older)})
    return user


def _log(user: User) -> str:
    return (user.folder / "controller.log").read_text()


def _wait_until_training(user: User) -> None:
    for name in ("first", "second"):
        wait_until(has_logged(user, name, 3), f"three steps of {name}: {_log(user)}")


def _assert_trained_once(user: User, server) -> None:
    for name in ("first", "second"):
        run = run_of(user, name)
        (attempt,) = attempts(run)
        assert attempt["outcome"] == "finished"
        assert assert_held_once(server, run)["state"] == "finished"
    assert user.jobs() == []


def test_the_next_start_goes_on_with_the_jobs_of_a_controller_that_was_killed(user, cluster, server, older):
    user.configure(
        {
            "first": experiment(user, 50, 0.5),
            "second": experiment(user, 50, 0.5, python=older),
            # Stays in the queue until it is let go.
            "held": experiment(user, 3, 0.1, "hold"),
        }
    )
    controller = user.start("narval")
    wait_until(lambda: len(user.jobs()) == 3, "three jobs")
    held = user.job_of("held")
    cluster.run("scontrol", "hold", held, check=False)
    _wait_until_training(user)
    os.kill(controller.pid, signal.SIGKILL)
    controller.wait()
    before = set(user.jobs())
    second = user.start("narval")
    wait_until(lambda: _log(user).count("of an earlier start is still there") >= 2, "the jobs to be taken over")
    assert "its lock is removed" in _log(user)
    cluster.run("scontrol", "release", held, check=False)
    assert second.wait(200) == 0, _log(user)
    assert set(user.jobs()) <= before
    _assert_trained_once(user, server)
    assert len(attempts(run_of(user, "held"))) == 1


def test_two_controllers_at_once_train_each_run_once(user, server):
    first = user.start("narval")
    _wait_until_training(user)
    refused = user.snakemake("narval")
    assert refused.returncode != 0
    assert "unlock" not in refused.stderr
    assert re.search(
        rf"^runferry: {user.folder}: found a Snakemake \(process {first.pid}, since [-0-9: ]{{16}}\) at work here, "
        "expected one at a time for the same runs; wait until it has ended; run: runferry status$",
        refused.stderr,
        re.MULTILINE,
    ), refused.stderr
    planned = user.snakemake("narval", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    # And one that is told not to look at the lock.
    second = user.snakemake("narval", "--nolock")
    assert second.returncode == 0, second.stdout + second.stderr
    assert first.wait(100) == 0, _log(user)
    _assert_trained_once(user, server)


def test_ctrl_c_says_what_it_will_cancel_and_a_second_one_leaves_it_running(user, server, older):
    user.configure({"first": experiment(user, 60, 0.5), "second": experiment(user, 60, 0.5, python=older)})
    controller = user.start("narval")
    _wait_until_training(user)
    os.kill(controller.pid, signal.SIGINT)
    wait_until(lambda: "about to cancel 2 jobs in 10 s; Ctrl-C again leaves them running" in _log(user), "the choice")
    os.kill(controller.pid, signal.SIGINT)
    controller.wait(60)
    assert "left 2 jobs running" in _log(user)
    assert len(user.jobs()) == 2
    again = user.snakemake("narval")
    assert again.returncode == 0, again.stdout + again.stderr
    _assert_trained_once(user, server)


def test_one_ctrl_c_cancels_the_jobs_and_what_was_logged_is_synced_by_the_next_start(user, cluster, server):
    controller = user.start("narval")
    _wait_until_training(user)
    os.kill(controller.pid, signal.SIGINT)
    controller.wait(60)
    assert controller.returncode != 0
    wait_until(lambda: user.jobs() == [], "the end of the jobs")
    done = user.snakemake("narval", "sync_all")
    for name in ("first", "second"):
        run = run_of(user, name)
        held = server.run("demo", "tests", run.name)
        assert held["state"] != "finished"
        assert [row["_step"] for row in held["history"]] == list(range(len(held["history"])))
        assert held["history"], done.stderr
        assert attempts(run)[0]["reason"] == "cancelled"
