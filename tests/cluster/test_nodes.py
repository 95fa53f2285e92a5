"""A run of several nodes on a real Slurm: the environment on each, one command on each, signals to each."""

from __future__ import annotations

import json
import signal
import time

import pytest

from support.slurm.user import User, attempts, rows_on_disk

pytestmark = pytest.mark.slow

TRAIN = """
import json, os, pathlib, signal, socket, sys, time, wandb

mode, node = sys.argv[1], int(os.environ["SLURM_NODEID"])
folder = os.environ["RUNFERRY_RUN_FOLDER"]
got = []

def stop(number, frame):
    got.append(number)

signal.signal(signal.SIGUSR1, stop)
signal.signal(signal.SIGTERM, stop)
seen = {"host": socket.gethostname(), "environment": dict(os.environ), "there": os.path.isdir(sys.prefix), "got": got}
run = wandb.init()
for step in range(10):
    run.log({"loss": 10 * node + step})
if mode == "wait":
    (pathlib.Path(folder) / f"host-{node}").write_text(json.dumps(seen["host"]))
    (pathlib.Path(folder) / f"ready-{node}").touch()
    until = time.time() + 60
    while not got and time.time() < until:
        time.sleep(0.05)
    # A second one would come within the launcher's quarter of a second.
    time.sleep(1)
run.finish()
with open(f"{folder}/node-{node}.json", "w") as file:
    json.dump(seen, file)
sys.exit(node * 7 if mode == "fail" else 0)
"""


@pytest.fixture
def user(tmp_path, cluster, server) -> User:
    return User(tmp_path / "scratch", cluster, TRAIN, **server.environment)


def _experiment(*command: str) -> dict:
    resources = {"nodes": 2, "gpus": 2, "memory": "2G", "cores": 2}
    return {"command": [*command], "resources": resources}


def _nodes(run) -> list[dict]:
    return [json.loads((run / f"node-{node}.json").read_text()) for node in (0, 1)]


def test_two_nodes_have_the_environment_and_the_command_and_the_first_ones_wandb_is_the_run(
    user, cluster, server, wheels
):
    user.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    (user.folder / "requirements.txt").write_text("wandb==0.27.2\n")
    user.configure(
        {"both": _experiment("python", "train.py", "go"), "fails": _experiment("python", "train.py", "fail")},
        environment={"requirements": "requirements.txt"},
    )
    failed = user.snakemake("narval")
    assert failed.returncode != 0
    (run,) = user.runs("both")
    first, second = _nodes(run)
    assert first["host"] != second["host"]
    for one, number in ((first, "0"), (second, "1")):
        variables = one["environment"]
        assert one["there"]
        assert variables["VIRTUAL_ENV"].startswith("/localscratch/")
        assert variables["SLURM_PROCID"] == number
        assert variables["SLURM_NNODES"] == "2"
        assert variables["MASTER_ADDR"] == first["host"]
        assert variables["MASTER_PORT"] == first["environment"]["MASTER_PORT"]
        assert len(variables["CUDA_VISIBLE_DEVICES"].split(",")) == 2
    assert json.loads((run / "trained.json").read_text())["attempt"] == 1
    held = server.run("demo", "tests", run.name)
    assert [row["loss"] for row in held["history"]] == rows_on_disk(run, "loss") == list(range(10))
    assert held["state"] == "finished"
    # What the second node's wandb wrote is kept, and in nobody's way.
    assert rows_on_disk(run / "nodes" / "1", "loss") == list(range(10, 20))
    assert "NumNodes=2" in cluster.run("scontrol", "show", "job", attempts(run)[0]["job"])
    # The worst exit code of the nodes is the run's.
    (run,) = user.runs("fails")
    assert [attempt["exit_code"] for attempt in attempts(run)] == [7]
    assert not (run / "trained.json").exists()


def test_a_signal_to_the_launcher_comes_to_the_command_on_each_node_once(user, cluster):
    user.configure({"stopped": _experiment(user.python, "train.py", "wait")})
    controller = user.start("narval", "train_all")
    try:
        run = _wait_for(lambda: user.runs("stopped"), "run.json")[0]
        _wait_for(lambda: (run / "ready-0").exists() and (run / "ready-1").exists(), "both nodes")
        (attempt,) = attempts(run)
        cluster.on_node(attempt["host"], "kill", "-TERM", str(attempt["pid"]))
        cluster.wait_for_job(attempt["job"])
    finally:
        controller.kill()
    assert [one["got"] for one in _nodes(run)] == [[signal.SIGTERM], [signal.SIGTERM]]
    assert rows_on_disk(run, "loss") == list(range(10))
    # Who was asked to stop has more to do.
    assert [(attempt["outcome"], attempt["passed_on"]) for attempt in attempts(run)] == [("stopped", ["SIGTERM"])]
    assert not list(run.glob("nodes/*/pid"))


def test_a_cancelled_run_hears_it_on_each_node_once_and_no_row_is_lost(user, cluster, server):
    user.configure({"stopped": _experiment(user.python, "train.py", "wait")})
    controller = user.start("narval")
    try:
        run = _wait_for(lambda: user.runs("stopped"), "run.json")[0]
        _wait_for(lambda: (run / "ready-0").exists() and (run / "ready-1").exists(), "both nodes")
        (attempt,) = attempts(run)
        cluster.run("scancel", attempt["job"])
        controller.wait(120)
    finally:
        controller.kill()
    assert [one["got"] for one in _nodes(run)] == [[signal.SIGTERM], [signal.SIGTERM]]
    assert [attempt["reason"] for attempt in attempts(run)] == ["cancelled"]
    assert [row["loss"] for row in server.run("demo", "tests", run.name)["history"]] == list(range(10))
    assert rows_on_disk(run / "nodes" / "1", "loss") == list(range(10, 20))


def test_a_signal_to_every_process_of_the_run_comes_to_each_command_once_and_no_row_is_lost(user, cluster):
    user.configure({"stopped": _experiment(user.python, "train.py", "wait")})
    controller = user.start("narval", "train_all")
    try:
        run = _wait_for(lambda: user.runs("stopped"), "run.json")[0]
        _wait_for(lambda: (run / "ready-0").exists() and (run / "ready-1").exists(), "both nodes")
        (attempt,) = attempts(run)
        # The launcher, its keeper, srun and all that it started, as a site's Slurm may do it; here Slurm signals the
        # first process of a step only.
        for node in {json.loads((run / f"host-{number}").read_text()) for number in (0, 1)}:
            processes = cluster.on_node(node, "ps", "-eo", "pid=,args=").splitlines()
            # Not the batch script's srun, which is in another step.
            named = [line for line in processes if "runferry launch" in line or "train.py" in line]
            ours = [line.split()[0] for line in named if "--cpu-bind=q" not in line]
            cluster.on_node(node, "kill", "-TERM", *ours)
        cluster.wait_for_job(attempt["job"])
    finally:
        controller.kill()
    assert [one["got"] for one in _nodes(run)] == [[signal.SIGTERM], [signal.SIGTERM]]
    assert rows_on_disk(run, "loss") == list(range(10))
    assert [attempt["outcome"] for attempt in attempts(run)] == ["stopped"]


def _wait_for(condition, what: str):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited a minute for {what}")
