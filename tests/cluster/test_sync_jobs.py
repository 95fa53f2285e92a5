"""A login node without a way to the server: a job that has one syncs, or a person's own machine over ssh."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runferry_standin import running
from support.cut_line import connections, make_line
from support.pulling import pull_at_home
from support.slurm.ending_early import assert_held_once, logged, reasons, receipt
from support.slurm.laptop import laptop
from support.slurm.network import Firewall
from support.slurm.relay import relayed
from support.slurm.user import User

if TYPE_CHECKING:
    from pathlib import Path

    from support.slurm.cluster import Cluster

pytestmark = pytest.mark.slow

KEY = "5ec2e7" * 7
STEPS, RUNS = 12, 8
REQUEUED = (2, 5)
# It writes down what it has logged, and has its own job requeued where it is told to.
TRAIN = f"""
import os, pathlib, subprocess, sys, time, wandb

folder = pathlib.Path(os.environ["RUNFERRY_RUN_FOLDER"])
checkpoint = pathlib.Path(os.environ["RUNFERRY_CHECKPOINTS"], "step")
first = int(checkpoint.read_text()) if checkpoint.exists() else 0
attempt = int(os.environ["RUNFERRY_ATTEMPT"])
run = wandb.init()
with (folder / "logged").open("a") as logged:
    for step in range(first, {STEPS}):
        run.log({{"loss": step}}, step=step)
        print(attempt, step, file=logged, flush=True)
        checkpoint.with_suffix(".new").write_text(str(step + 1))
        checkpoint.with_suffix(".new").rename(checkpoint)
        if attempt == 1 and step == 5 and int(sys.argv[1].partition("=")[2]) in {REQUEUED}:
            subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=True)
            time.sleep(60)
run.finish()
"""


def person(folder: Path, cluster: Cluster, url: str, sync: dict[str, Any], **environment: str) -> User:
    """Somebody whose login node has no way to the server, with a sweep of eight."""
    user = User(folder / "scratch", cluster, TRAIN, HOME=str(folder), **environment)
    sweep = {"method": "grid", "parameters": {"n": {"values": list(range(RUNS))}}}
    user.configure(
        {
            "jobs": {
                "sweep": sweep | {"command": [user.python, "train.py", "${args}"]},
                "resources": {"memory": "1G", "cores": 2, "time": "15m"},
            }
        },
        wandb={"project": "tests", "base_url": url},
        sync=sync,
    )
    return user


def assert_all_verified(user: User, server) -> None:
    """Each row that the trainings have counted is on the server, once, and each run has its receipt."""
    runs = user.runs("jobs")
    assert len(runs) == RUNS
    assert sorted(map(reasons, runs), key=len) == [[None]] * (RUNS - 2) + [["requeued", None]] * 2
    for run in runs:
        assert logged(run) == list(range(STEPS))
        assert assert_held_once(server, run, logged(run))["state"] == "finished"
        assert receipt(run)["server"]["history_lines"] == STEPS


def assert_no_key(*folders: Path) -> None:
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                assert KEY.encode() not in file.read_bytes(), file


def jobs_of(user: User, *options: str) -> list[str]:
    lines = user.cluster.run(
        "sacct", "--noheader", "--parsable2", "--allocations", *options, "--format=JobID,WorkDir", "--duplicates"
    )
    found = [line.split("|") for line in lines.splitlines()]
    return [job for job, place in found if place == str(user.folder)]


def assert_slurm_has_no_key(cluster: Cluster, jobs: list[str]) -> None:
    for job in jobs:
        assert KEY not in cluster.run("scontrol", "show", "job", job, check=False)
        assert KEY not in cluster.run("scontrol", "write", "batch_script", job, "-", check=False)
    assert KEY not in cluster.run("sacct", f"--jobs={','.join(jobs)}", "--format=ALL", "--parsable2")


def test_a_job_on_a_partition_with_internet_syncs_many_runs_and_slurm_never_has_the_key(
    tmp_path: Path, cluster_alone: Cluster
):
    address = cluster_alone.address
    with (
        running(key=KEY) as server,
        # The login node's own way out is closed.
        relayed(address, port := int(server.url.rsplit(":", 1)[1]), closed_to=address),
    ):
        sync = {"where": "job", "partition": "standard", "job_time": "10m"}
        user = person(tmp_path, cluster_alone, f"http://{address}:{port}", sync, WANDB_API_KEY=KEY)
        with cluster_alone.reaching(Firewall(open_ports=(port,))):
            done = user.snakemake("narval", seconds=400)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_all_verified(user, server)
    jobs = jobs_of(user, "--name=runferry-sync")
    # Those that wait while one syncs go together in the next.
    assert 1 <= len(jobs) < RUNS
    assert KEY not in done.stdout + done.stderr
    assert_slurm_has_no_key(cluster_alone, jobs)
    assert_no_key(user.folder, cluster_alone.folder)
    assert not list((user.folder / "results" / ".sync" / "jobs").iterdir())


def test_another_machine_brings_the_runs_of_a_site_that_nothing_leaves_and_the_key_is_never_there(
    tmp_path: Path, cluster: Cluster
):
    with laptop() as own, own.entered(), running(key=KEY) as server:
        url = server.url
        results = tmp_path / "scratch" / "results"
        with own.left():
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))
            user = person(tmp_path, cluster, url, {"where": "remote"})
            trained = user.snakemake("narval", seconds=400)
        assert trained.returncode == 0, trained.stdout + trained.stderr
        assert f"{RUNS} runs have no receipt; on a machine with internet, run: runferry pull " in trained.stderr
        home = tmp_path / "laptop"
        home.mkdir()
        login = {name: user.environment.get(name, "") for name in ("PATH", "PYTHONPATH", "HOME")}
        cuts = [{"bytes": 4000}, {"bytes": 20000}]
        ssh = f"{own.way_out} {make_line(tmp_path / 'line', login, cuts)}"
        pulled = pull_at_home(server, ssh, results, home, "--sync-option=--settle=0.1")
        assert pulled.returncode == 0, pulled.stderr
        assert connections(tmp_path / "line") == len(cuts) + 1
        assert_all_verified(user, server)
    status = [sys.executable, "-m", "runferry", "status", "--json", str(results)]
    shown = subprocess.run(status, cwd=user.folder, env=user.environment, capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)["states"]["done"] == RUNS
    assert_slurm_has_no_key(cluster, jobs_of(user))
    assert_no_key(user.folder, cluster.folder, tmp_path / "line")
