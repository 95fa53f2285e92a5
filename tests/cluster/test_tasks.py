"""A run of several tasks on a real Slurm: srun starts them, each has its rank, and all rows arrive."""

from __future__ import annotations

import json
import signal

import pytest

from runferry.trackers.wandb.log.segment import history
from support.launching import wait_for
from support.slurm.user import User, attempts

pytestmark = pytest.mark.slow

# As the Alliance's template for data-parallel training has it: ranks and the node's name as Slurm gives them, and a
# process group over them. What each logs is also in a file of its own.
TRAIN = """
import json, os, pathlib, signal, socket, sys, time, wandb

mode, rank = sys.argv[1], int(os.environ["SLURM_PROCID"])
place = os.environ["RUNFERRY_RUN_FOLDER"]
got = []
signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
if rank == 0:
    listener = socket.create_server(("", int(os.environ["MASTER_PORT"])))
    peers = [listener.accept()[0] for _ in range(int(os.environ["SLURM_NTASKS"]) - 1)]
    met = 1 + len(peers)
else:
    until = time.time() + 30
    while True:
        try:
            with socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))):
                break
        except ConnectionRefusedError:
            assert time.time() < until
            time.sleep(0.1)
    met = None
run = wandb.init(job_type=f"rank{rank}")
with open(f"{place}/logged-{rank}", "w") as truth:
    for step in range(10):
        run.log({"loss": 100 * rank + step})
        print(100 * rank + step, file=truth, flush=True)
pathlib.Path(f"{place}/ready-{rank}").touch()
until = time.time() + 60
while mode == "wait" and not got and time.time() < until:
    time.sleep(0.05)
# A second one would come within the launcher's quarter of a second.
time.sleep(1 if mode == "wait" else 0)
seen = {"host": socket.gethostname(), "environment": dict(os.environ), "got": got, "met": met, "id": run.id}
seen |= {"cores": len(os.sched_getaffinity(0)), "prefix": sys.prefix}
run.finish()
with open(f"{place}/seen-{rank}", "w") as file:
    json.dump(seen, file)
sys.exit(5 if mode == "fail" and rank == 1 else 0)
"""


@pytest.fixture
def user(tmp_path, cluster, server) -> User:
    return User(tmp_path / "scratch", cluster, TRAIN, **server.environment)


def _experiment(user: User, mode: str, **resources) -> dict:
    return {"command": [user.python, "train.py", mode], "resources": {"memory": "2G", **resources}}


def _seen(run) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(run.glob("seen-*"))]


def _assert_all_arrived(run, server, tasks: int, state: str) -> None:
    """Compare what each rank wrote to a file of its own with what the server holds of its W&B run."""
    ids = [run.name, *(f"{run.name}-{number}" for number in range(2, tasks + 1))]
    held = {wandb_run: server.run("demo", "tests", wandb_run) for wandb_run in ids}
    logged = [[int(line) for line in (run / f"logged-{rank}").read_text().split()] for rank in range(tasks)]
    assert sorted([row["loss"] for row in one["history"]] for one in held.values()) == logged
    assert [row["loss"] for row in held[run.name]["history"]] == logged[0]
    assert {one["state"] for one in held.values()} == {state}
    assert {one["group"] for one in held.values()} == {run.parent.name}
    assert sorted(one["job_type"] for one in held.values()) == [f"rank{rank}" for rank in range(tasks)]


def test_srun_starts_the_tasks_each_with_its_rank_and_every_row_of_each_arrives(user, cluster, server):
    user.configure(
        {
            "all": _experiment(user, "go", tasks=4, gpus=4, cores=8),
            "each": _experiment(user, "fail", tasks=2, gpus=4, gpus_per_task=2),
            "none": _experiment(user, "go", tasks=3, cores=3),
        }
    )
    done = user.snakemake("narval")
    # Of one a task fails.
    assert done.returncode != 0
    asked = {
        "all": ("NumTasks=4", "CPUs/Task=2", "NumCPUs=8", "gres:gpu:a100:4"),
        "each": ("NumTasks=2", "CPUs/Task=24", "NumCPUs=48", "gres:gpu:a100:4"),
        "none": ("NumTasks=3", "CPUs/Task=1", "NumCPUs=3"),
    }
    for name, words in asked.items():
        (run,) = user.runs(name)
        tasks, seen, (attempt,) = int(words[0][-1]), _seen(run), attempts(run)
        job = cluster.run("scontrol", "show", "job", attempt["job"])
        assert "NumNodes=1" in job
        assert not [word for word in words if word not in job], job
        assert [one["environment"]["SLURM_PROCID"] for one in seen] == [str(rank) for rank in range(tasks)]
        for rank, one in enumerate(seen):
            variables = one["environment"]
            expected = {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "SLURM_LOCALID": rank,
                "WORLD_SIZE": tasks,
                "SLURM_NTASKS": tasks,
            }
            assert {key: variables[key] for key in expected} == {key: str(value) for key, value in expected.items()}
            assert variables["MASTER_ADDR"] == one["host"] == attempt["host"]
            assert variables["MASTER_PORT"] == seen[0]["environment"]["MASTER_PORT"]
            assert variables["SLURM_STEP_ID"] == seen[0]["environment"]["SLURM_STEP_ID"]
            assert variables["SLURM_TMPDIR"].startswith("/localscratch/")
        assert seen[0]["met"] == tasks
    (run,) = user.runs("all")
    devices = [one["environment"]["CUDA_VISIBLE_DEVICES"] for one in _seen(run)]
    # As in the template, where each takes that of its SLURM_LOCALID.
    assert devices == ["0,1,2,3"] * 4
    assert [one["environment"]["OMP_NUM_THREADS"] for one in _seen(run)] == ["2"] * 4
    _assert_all_arrived(run, server, 4, "finished")
    assert len(json.loads((run / "receipt.json").read_text())["wandb_runs"]) == 4
    # All that the tasks used, which are no children of the launcher's: each has imported wandb.
    assert attempts(run)[0]["used"]["cpu_seconds"] > 4 * 0.2
    (run,) = user.runs("each")
    assert [one["environment"]["CUDA_VISIBLE_DEVICES"] for one in _seen(run)] == ["0,1", "2,3"]
    assert [(one["outcome"], one["exit_code"]) for one in attempts(run)] == [("failed", 5)]


def test_a_cancelled_run_of_several_tasks_hears_it_once_in_each_and_no_row_is_lost(user, cluster, server):
    user.configure({"stopped": _experiment(user, "wait", tasks=3, gpus=1)})
    controller = user.start("narval")
    try:
        (run,) = wait_for(lambda: user.runs("stopped"), "run.json")
        wait_for(lambda: all((run / f"ready-{rank}").exists() for rank in range(3)), "all tasks")
        (attempt,) = attempts(run)
        cluster.run("scancel", attempt["job"])
        controller.wait(120)
    finally:
        controller.kill()
    assert [one["got"] for one in _seen(run)] == [[signal.SIGTERM]] * 3
    assert [one["reason"] for one in attempts(run)] == ["cancelled"]
    for segment in (run / "wandb").glob("offline-run-*"):
        assert len(list(history(segment))) == 10
    _assert_all_arrived(run, server, 3, "finished")
