"""`runferry status` beside a workflow on a real Slurm: what waits in the queue, and why."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from support.slurm.user import User

pytestmark = pytest.mark.slow


@pytest.fixture
def user(tmp_path, cluster, server) -> User:
    return User(tmp_path / "scratch", cluster, "import wandb\nwandb.init().log({'loss': 1})\n", **server.environment)


def _status(user: User, *options: str) -> str:
    command = [sys.executable, "-m", "runferry", "status", *options]
    return subprocess.run(
        command, cwd=user.folder, env=user.environment, capture_output=True, text=True, check=True
    ).stdout


def _waiting(user: User, controller: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """The job as the status has it, once Slurm has it and says why it waits."""
    for _ in range(120):
        if controller.poll() is not None:
            break
        if user.jobs():
            [experiment] = json.loads(_status(user, "--json"))["experiments"]
            if experiment["jobs"] and experiment["jobs"][0]["reason"] != "None":
                return experiment["jobs"]
        time.sleep(0.5)
    pytest.fail((user.folder / "controller.log").read_text())


def test_a_job_that_is_held_is_waiting_and_the_reason_is_slurms(user, cluster):
    experiment = {"command": [user.python, "train.py"], "resources": {"memory": "1G", "time": "10m"}, "packing": False}
    user.configure({"held": experiment})
    controller = user.start("narval", "train_all", "--set-resources", "train:slurm_extra=--hold")
    try:
        [job] = _waiting(user, controller)
        [run] = user.runs("held")
        assert job == {"id": user.job_of("held"), "state": "PENDING", "reason": "JobHeldUser", "of": run.name}
        shown = _status(user)
        assert "queue: 1 waiting: 1 JobHeldUser (it is held; scontrol release lets it go)" in shown
        assert shown.splitlines()[1].split() == ["held", "1", "1", "0", "0", "0", "0"]
        cluster.run("scontrol", "release", job["id"])
        assert controller.wait(120) == 0
        assert "queue: no job of these experiments" in _status(user)
    finally:
        controller.terminate()
        controller.wait(60)
