"""Online jobs on a limited cluster: the API is within a node's reach, as through a site's proxy; the storage is not."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from runferry_standin import running
from support.slurm.network import Firewall
from support.slurm.relay import relayed
from support.slurm.user import User, rows_on_disk

if TYPE_CHECKING:
    from support.slurm.cluster import Cluster

pytestmark = pytest.mark.slow

TRAIN = """
import json, os, pathlib, time, wandb

run = wandb.init()
for step in range(20):
    run.log({"loss": step / 2})
pathlib.Path("note.txt").write_text("what the storage would get")
run.save("note.txt")
folder = pathlib.Path(os.environ["RUNFERRY_RUN_FOLDER"])
seen = {"end": time.time(), "mode": os.environ["WANDB_MODE"], "modules": os.environ.get("LOADED", "")}
(folder / "seen.json").write_text(json.dumps(seen | {"job": os.environ["SLURM_JOB_ID"]}))
"""
# A login shell of a site defines `module`; this one only says what it was asked to load.
PROFILE = """module() { [ "$1" = load ] && shift && export LOADED="$*"; }\n"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("way", ["reject", "drop"])
def test_an_online_job_ends_with_its_training_where_the_storage_is_out_of_reach(
    tmp_path, cluster_alone: Cluster, way: str
):
    storage = _free_port()
    with (
        running(key="5ec2e7" * 7, storage_port=storage) as server,
        relayed(cluster_alone.address, api := int(server.url.rsplit(":", 1)[1]), storage),
    ):
        firewall = Firewall(open_ports=(api,), ports={storage: way})
        user = User(tmp_path / "scratch", cluster_alone, TRAIN, WANDB_API_KEY=server.key, HOME=str(tmp_path))
        (tmp_path / ".bash_profile").write_text(PROFILE)
        user.configure(
            {"online": {"command": [user.python, "train.py"], "resources": {"gpus": 1, "memory": "2G", "time": "15m"}}},
            wandb={
                "project": "tests",
                "mode": "online",
                "eligible": True,
                "base_url": f"http://{cluster_alone.address}:{api}",
            },
        )
        with cluster_alone.reaching(firewall):
            done = user.snakemake("narval")
        assert done.returncode == 0, done.stdout + done.stderr
        (run,) = user.runs("online")
        (seen,) = user.seen("online")
        held = server.run("demo", "tests", run.name)
        assert [row["loss"] for row in held["history"]] == [step / 2 for step in range(20)] == rows_on_disk(run, "loss")
        assert held["state"] == "finished"
        assert seen["mode"] == "online"
        assert seen["modules"] == "httpproxy"
        (attempt,) = [json.loads(file.read_text()) for file in (run / "attempts").glob("*.json")]
        assert attempt["outcome"] == "finished"
        # What a hang at the end would be is minutes; the job's own end is Slurm's word, in whole seconds.
        assert _end_of_job(cluster_alone, seen["job"]) - seen["end"] < 5 + 1


def _end_of_job(cluster: Cluster, job: str) -> float:
    cluster.wait_for_job(job)
    shown = cluster.run("scontrol", "--oneliner", "show", "job", job)
    (end,) = [field.removeprefix("EndTime=") for field in shown.split() if field.startswith("EndTime=")]
    return time.mktime(time.strptime(end, "%Y-%m-%dT%H:%M:%S"))
