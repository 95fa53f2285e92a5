"""Several jobs for a run (`any_of`): the first to start trains it, whatever becomes of the others and of Snakemake."""

from __future__ import annotations

import os
import signal

import pytest

from support.first_to_start import FREE, SCARCE, TRAIN, occupy
from support.slurm.cluster import Cluster
from support.slurm.ending_early import run_of, wait_until
from support.slurm.user import User, attempts

pytestmark = pytest.mark.slow


@pytest.fixture
def user(tmp_path, cluster_alone: Cluster, server) -> User:
    return User(tmp_path / "scratch", cluster_alone, TRAIN, **server.environment)


def _experiment(user: User, *any_of: dict, gpus: int = 0) -> dict:
    resources = {"cores": 2, "memory": "256M", "time": "1h", "gpus": gpus, "any_of": list(any_of)}
    return {"command": [user.python, "train.py"], "resources": resources}


def _trained_by(user: User, name: str) -> list[str]:
    """The jobs that have trained the experiment's run, by the training's own word."""
    lines = (run_of(user, name) / "trained-by").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("begins")]


def test_one_of_a_runs_jobs_trains_it_though_one_waits_both_start_and_snakemake_is_killed(user, cluster_alone):
    user.configure(
        {
            "waits": _experiment(user, {"gpu": SCARCE}, {"gpu": FREE}, gpus=1),
            "both": _experiment(user, {"memory": "256M"}, {"memory": "300M"}),
            # Neither can start before the scarce GPUs are free, when both do at once.
            "held": _experiment(user, {"gpu": SCARCE}, {"gpu": SCARCE, "memory": "300M"}, gpus=1),
        }
    )
    log = user.folder / "controller.log"
    taken = occupy(cluster_alone, user.folder)
    controllers = [user.start("narval", "train_all")]
    try:
        done = [f"results/{name}" for name in ("waits", "both")]
        wait_until(
            lambda: all([*(user.folder / folder).glob("*/trained.json")] for folder in done),
            f"two trained runs: {log.read_text()}",
        )
        wait_until(lambda: len(user.jobs()) == len(taken) + 2, f"the two jobs that wait: {log.read_text()}")
        os.kill(controllers[0].pid, signal.SIGKILL)
        controllers[0].wait()
        controllers.append(user.start("narval", "train_all"))
        wait_until(
            lambda: "of an earlier start are still there, and go on" in log.read_text(), "the jobs to be taken over"
        )
        cluster_alone.run("scancel", *taken)
        assert controllers[1].wait(120) == 0, log.read_text()
    finally:
        for controller in controllers:
            controller.kill()
        cluster_alone.run("scancel", *taken, *user.jobs(), check=False)
    for name in ("waits", "both", "held"):
        (attempt,) = attempts(run_of(user, name))
        assert [attempt["job"]] == _trained_by(user, name)
        if name == "waits":
            assert attempt["alternative"] == f"gpu: {FREE}"
    wait_until(lambda: user.jobs() == [], "the end of the jobs that lost")
