"""`sync.where: job`: runs are synced by a job whose node reaches the server, and Slurm never has the key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runferry_standin import running
from support.slurm.network import Firewall
from support.slurm.relay import relayed
from support.slurm.user import User

if TYPE_CHECKING:
    from support.slurm.cluster import Cluster

pytestmark = pytest.mark.slow

KEY = "5ec2e7" * 7
TRAIN = """
import wandb

run = wandb.init()
for step in range(10):
    run.log({"loss": 1 / (step + 1)})
run.finish()
"""


def test_a_job_on_a_partition_with_internet_syncs_many_runs_and_slurm_never_has_the_key(
    tmp_path, cluster_alone: Cluster
):
    address = cluster_alone.address
    with (
        running(key=KEY) as server,
        # The login node's own way out is closed.
        relayed(address, port := int(server.url.rsplit(":", 1)[1]), closed_to=address),
    ):
        user = User(tmp_path / "scratch", cluster_alone, TRAIN, WANDB_API_KEY=KEY, HOME=str(tmp_path))
        sweep = {"method": "grid", "parameters": {"n": {"values": [1, 2, 3, 4]}}}
        resources = {"memory": "2G", "cores": 2, "time": "15m"}
        user.configure(
            {"jobs": {"sweep": sweep | {"command": [user.python, "train.py"]}, "resources": resources}},
            wandb={"project": "tests", "base_url": f"http://{address}:{port}"},
            sync={"where": "job", "partition": "standard", "job_time": "10m"},
        )
        with cluster_alone.reaching(Firewall(open_ports=(port,))):
            done = user.snakemake("narval", seconds=400)
        assert done.returncode == 0, done.stdout + done.stderr
        for run in user.runs("jobs"):
            held = server.run("demo", "tests", run.name)
            assert [row["loss"] for row in held["history"]] == [1 / n for n in range(1, 11)]
            assert held["state"] == "finished"
            assert json.loads((run / "receipt.json").read_text())["server"]["history_lines"] == 10
    lines = cluster_alone.run(
        "sacct", "--noheader", "--parsable2", "--allocations", "--name=runferry-sync", "--format=JobID,State,WorkDir"
    )
    jobs = [line.split("|")[0] for line in lines.splitlines() if line.split("|")[2] == str(user.folder)]
    # Those that wait while one syncs go together in the next.
    assert 1 <= len(jobs) < len(user.runs("jobs"))
    for job in jobs:
        assert KEY not in cluster_alone.run("scontrol", "show", "job", job, check=False)
        assert KEY not in cluster_alone.run("sacct", "--jobs", job, "--format=ALL", "--parsable2")
    assert KEY not in done.stdout + done.stderr
    for top in (user.folder, cluster_alone.folder):
        for file in top.rglob("*"):
            if file.is_file() and not file.is_symlink():
                assert KEY.encode() not in file.read_bytes(), file
    assert not list((user.folder / "results" / ".sync" / "jobs").iterdir())
