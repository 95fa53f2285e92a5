"""The pipeline on a real Slurm: a site's own profile, the real plugin, the real client, nodes without a route."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from runferry.trackers.wandb.log.segment import history
from support.slurm.cluster import Cluster
from support.slurm.user import User

pytestmark = pytest.mark.slow

TRAIN = """
import json, os, socket, sys, wandb

def reach(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        return str(error)
    return "reached"

def environments_above():
    found, pid = "", os.getppid()
    while pid > 1:
        found += open(f"/proc/{pid}/environ", errors="replace").read()
        pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    return found

run = wandb.init()
for step in range(10):
    run.log({"loss": 1 / (step + 1)})
run.finish()
folder = os.environ["RUNFERRY_RUN_FOLDER"]
login, port = sys.argv[1:3]
seen = {
    "host": socket.gethostname(),
    "environment": dict(os.environ),
    "reach": {host: reach(host, int(port)) for host in (login, "127.0.0.1", "192.0.2.1")},
    # What Snakemake's own processes in the job were started with: every process above this one.
    "job script's environment": environments_above(),
    "local disk": os.path.isdir(os.environ["SLURM_TMPDIR"]) if "SLURM_TMPDIR" in os.environ else None,
    "job": os.environ.get("SLURM_JOB_ID"),
}
if "--wait" in sys.argv:
    import time
    time.sleep(3)
with open(folder + "/seen.json", "w") as file:
    json.dump(seen, file)
"""


@pytest.fixture
def user(tmp_path, cluster, server) -> User:
    return User(tmp_path / "scratch", cluster, TRAIN, **server.environment)


def _experiment(server, count: int, *options: str, cluster: Cluster, **resources) -> dict:
    port = server.url.rsplit(":", 1)[1]
    command = [sys.executable, "train.py", cluster.address, port, "${args}", *options]
    sweep = {"method": "grid", "parameters": {"n": {"values": list(range(count))}}, "command": command}
    return {"sweep": sweep, "resources": {"memory": "2G", "cores": 2, "time": "1h", **resources}}


def _assert_every_row_arrived(user: User, server, experiment: str) -> None:
    for run in user.runs(experiment):
        rows = [row for segment in run.glob("wandb/offline-run-*") for row in history(segment)]
        held = server.run("demo", "tests", run.name)
        assert (
            [row["loss"] for row in held["history"]] == [row["loss"] for row in rows] == [1 / n for n in range(1, 11)]
        )
        assert held["state"] == "finished"
        assert json.loads((run / "receipt.json").read_text())["server"]["history_lines"] == 10


def test_a_sweep_of_eight_trains_on_two_nodes_without_a_route_and_every_row_arrives(user, cluster, server):
    user.configure({"sweep": _experiment(server, 8, "--wait", cluster=cluster, gpus=1)})
    done = user.snakemake("narval")
    assert done.returncode == 0, done.stdout + done.stderr
    seen = user.seen("sweep")
    assert len(seen) == 8
    assert len({one["host"] for one in seen}) >= 2
    for one in seen:
        assert one["host"] != socket.gethostname()
        assert set(one["reach"].values()).isdisjoint({"reached"}), one["reach"]
        assert one["environment"]["WANDB_MODE"] == "offline"
        assert one["environment"]["CUDA_VISIBLE_DEVICES"]
    _assert_every_row_arrived(user, server, "sweep")


def test_the_key_is_found_nowhere_but_with_the_person_who_gave_it(user, cluster, server):
    user.configure({"secret": _experiment(server, 2, cluster=cluster, gpus=1)})
    done = user.snakemake("narval", "--verbose")
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.key not in done.stdout + done.stderr
    for one in user.seen("secret"):
        assert "WANDB_API_KEY" not in one["environment"]
        assert server.key not in one["job script's environment"]
        assert server.key not in json.dumps(one)
        assert server.key not in cluster.run("scontrol", "show", "job", one["job"], check=False)
    for file in user.folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert server.key.encode() not in file.read_bytes(), file
    _assert_every_row_arrived(user, server, "secret")


@pytest.mark.parametrize(
    ("profile", "resources", "request_seen"),
    [
        ("narval", {"gpus": 1}, "gres:gpu:a100:1"),
        ("narval", {"gpus": 1, "gpu": "a100_1g.5gb"}, "gres:gpu:a100_1g.5gb:1"),
        ("narval", {"gpus": 0}, None),
        ("rorqual", {"gpus": 2}, "gres:gpu:h100:2"),
    ],
)
def test_what_the_user_asks_for_is_what_the_scheduler_gives(user, cluster, server, profile, resources, request_seen):
    user.configure({"asked": _experiment(server, 1, cluster=cluster, **resources)})
    done = user.snakemake(profile, "train_all")
    assert done.returncode == 0, done.stdout + done.stderr
    (seen,) = user.seen("asked")
    job = cluster.run("scontrol", "show", "job", seen["job"])
    account = "def-test_gpu" if resources["gpus"] else "def-test_cpu"
    assert f"Account={account}" in job
    assert "NumNodes=1" in job
    if request_seen:
        assert f"TresPerJob={request_seen}\n" in job
        assert len(seen["environment"]["CUDA_VISIBLE_DEVICES"].split(",")) == resources["gpus"]
    else:
        assert "gres:gpu" not in job


def test_an_unknown_account_is_one_line_and_nothing_is_submitted(user, cluster, server):
    user.environment["SBATCH_ACCOUNT"] = "def-nobody"
    user.configure({"none": _experiment(server, 1, cluster=cluster, gpus=1)})
    failed = user.snakemake("narval")
    assert failed.returncode != 0
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("runferry: ")]
    assert "def-nobody" in line
    assert "def-test" in line
    assert not (user.folder / "results").exists()


def test_the_environment_is_unpacked_on_the_nodes_own_disk(user, cluster, server, wheels):
    user.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    (user.folder / "requirements.txt").write_text("wandb==0.27.2\n")
    experiment = _experiment(server, 2, cluster=cluster, gpus=1)
    experiment["sweep"]["command"][0] = "python"
    user.configure({"packed": experiment}, environment={"requirements": "requirements.txt"})
    done = user.snakemake("narval")
    assert done.returncode == 0, done.stdout + done.stderr
    for one in user.seen("packed"):
        assert one["environment"]["VIRTUAL_ENV"].startswith("/localscratch/")
        assert not Path(one["environment"]["VIRTUAL_ENV"]).exists()
    _assert_every_row_arrived(user, server, "packed")
