"""A run of several tasks, here without Slurm: the command once for each, one attempt, the W&B runs of all of them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runferry.launch.task import variables_of_task
from runferry.trackers.wandb.log.segment import history
from support.attempt_files import attempts_of
from support.launching import is_running, lines, make_run, python, run_to_end, running_descendants, start, wait_for

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder

pytestmark = pytest.mark.slow

# What each logs is also in a file of its own, which no part of runferry has written.
TRAIN = """
import json, os, signal, sys, time, wandb

mode, rank = sys.argv[1], int(os.environ["RANK"])
place = os.environ["RUNFERRY_RUN_FOLDER"]
got = []
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: got.append(number))
run = wandb.init(config={"rank": rank})
with open(f"{place}/logged-{rank}", "a") as truth:
    for step in range(20):
        value = 100 * rank + step
        run.log({"value": value})
        print(value, file=truth, flush=True)
        time.sleep(0.002)
open(f"{place}/ready-{rank}", "w").close()
until = time.time() + 60
while mode == "wait" and not got and time.time() < until:
    time.sleep(0.05)
# A second signal would come within this.
time.sleep(0.7 if mode == "wait" else 0)
names = [n for n in os.environ if n.startswith(("SLURM", "MASTER", "RANK", "WORLD", "LOCAL", "CUDA", "OMP"))]
seen = {"got": got, "variables": {name: os.environ[name] for name in names}, "id": run.id}
with open(f"{place}/seen-{rank}", "w") as file:
    json.dump(seen, file)
if mode == "kill" and rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
run.finish()
sys.exit(3 * rank if mode == "fail" else 0)
"""


@pytest.fixture
def made(tmp_path):
    def make(mode: str, **more):
        return make_run(tmp_path / "run", python(TRAIN, mode), **{"tasks": 2, **more})

    return make


def _seen(run: RunFolder) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(run.path.glob("seen-*"))]


def _rows(run: RunFolder) -> dict[str, list]:
    """The values on disk by W&B run."""
    found: dict[str, list] = {}
    for segment in run.segments():
        found.setdefault(segment.name.rsplit("-", 2)[-1] if "k3j9-" not in segment.name else "k3j9-2", []).extend(
            row["value"] for row in history(segment)
        )
    return found


def _logged(run: RunFolder) -> dict[str, list]:
    return {
        run_id: [int(line) for line in (run.path / f"logged-{rank}").read_text().split()]
        for rank, run_id in enumerate(("k3j9", "k3j9-2"))
    }


def test_each_task_is_a_process_of_the_command_with_a_rank_and_a_wandb_run_of_its_own(made):
    run = made("fail", gpus=2, gpus_per_task=1, variables={"MASTER_PORT": "1234"})
    variables = {"OMP_NUM_THREADS": "5", "CUDA_VISIBLE_DEVICES": "GPU-7,GPU-8"}
    for attempt in (1, 2):
        status, said = run_to_end(run, variables)
        # The highest of them.
        assert status == 3, said
        assert [seen["id"] for seen in _seen(run)] == ["k3j9", "k3j9-2"]
        assert _rows(run) == _logged(run)
        assert [len(values) for values in _logged(run).values()] == [20 * attempt, 20 * attempt]
    for rank, seen in enumerate(_seen(run)):
        expected = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "OMP_NUM_THREADS": 2}
        expected |= {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NTASKS": 2, "SLURM_NODEID": 0}
        expected |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1234, "CUDA_VISIBLE_DEVICES": f"GPU-{rank + 7}"}
        assert {name: seen["variables"][name] for name in expected} == {name: str(v) for name, v in expected.items()}
    assert [record["outcome"] for record in attempts_of(run)] == ["failed", "failed"]
    assert "runferry: task 1 ended with exit code 3; the others are left to end by themselves" in lines(run)
    # The second attempt goes on behind the first one, for each rank.
    for wandb_run in ("k3j9", "k3j9-2"):
        steps = [row["_step"] for segment in run.segments(wandb_run) for row in history(segment)]
        assert steps == list(range(40))


@pytest.mark.parametrize(("number", "to_all"), [(signal.SIGTERM, True), (signal.SIGUSR1, False)])
def test_a_signal_comes_to_the_command_of_each_task_once(made, number, to_all):
    run = made("wait")
    launcher = start(run)
    wait_for(lambda: all((run.path / f"ready-{rank}").exists() for rank in range(2)), "both tasks")
    for pid in [launcher.pid, *running_descendants(launcher.pid)] if to_all else [launcher.pid]:
        os.kill(pid, number)
    launcher.communicate(timeout=60)
    assert [seen["got"] for seen in _seen(run)] == [[number], [number]]
    assert _rows(run) == _logged(run)
    (attempt,) = attempts_of(run)
    assert attempt["passed_on"] == [signal.Signals(number).name]
    assert attempt["outcome"] == ("stopped" if number == signal.SIGTERM else "finished")


def test_a_task_that_is_killed_is_said_and_no_row_of_any_is_lost(made):
    run = made("kill")
    status, _ = run_to_end(run)
    assert status == 137
    assert "runferry: task 1 was ended by SIGKILL; the others are left to end by themselves" in lines(run)
    assert [record["outcome"] for record in attempts_of(run)] == ["killed"]
    assert _rows(run) == _logged(run)


def test_when_the_launcher_is_killed_its_tasks_end_and_no_row_is_lost(made):
    run = made("wait")
    launcher = start(run)
    wait_for(lambda: all((run.path / f"ready-{rank}").exists() for rank in range(2)), "both tasks")
    below = running_descendants(launcher.pid)
    launcher.kill()
    launcher.communicate()
    wait_for(lambda: not any(map(is_running, below)), "the end of the tasks")
    # They were asked to end, as the command of any run is then.
    assert [seen["got"] for seen in _seen(run)] == [[signal.SIGTERM], [signal.SIGTERM]]
    assert _rows(run) == _logged(run)
    assert [record["outcome"] for record in attempts_of(run)] == ["killed"]


def test_when_what_starts_the_tasks_is_killed_they_end_and_no_row_is_lost(made):
    run = made("wait")
    launcher = start(run)
    wait_for(lambda: all((run.path / f"ready-{rank}").exists() for rank in range(2)), "both tasks")
    below = running_descendants(launcher.pid)
    (above,) = [pid for pid in below if "--told" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    os.kill(above, signal.SIGKILL)
    launcher.communicate(timeout=60)
    assert not any(map(is_running, below))
    assert _rows(run) == _logged(run)
    assert [record["outcome"] for record in attempts_of(run)] == ["killed"]


def test_a_command_that_is_not_there_is_said_as_of_any_run(tmp_path):
    run = make_run(tmp_path / "run", ["no-such-program"], tasks=2)
    status, _ = run_to_end(run)
    assert status == 127
    message = "runferry: command not found: no-such-program, neither in the environment nor elsewhere in PATH"
    assert lines(run).count(message) == 2


TOLD = {
    "environment": {"A": "a", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0", "SLURM_JOB_ID": "7", "WANDB_RUN_ID": "r"},
    "tasks": 3,
    "gpus_per_task": None,
    "master": {"MASTER_ADDR": "c1", "MASTER_PORT": "1"},
    "own": [],
    "contained": False,
}


def test_a_task_has_the_variables_of_its_own_step_and_keeps_those_of_the_config():
    given = {"SLURM_PROCID": "2", "SLURM_LOCALID": "2", "SLURM_STEP_ID": "1", "PMI_FD": "9", "HOME": "/none"}
    found = variables_of_task({**TOLD, "own": ["RANK"], "environment": {**TOLD["environment"], "RANK": "mine"}}, given)
    assert {name: found[name] for name in ("A", "SLURM_PROCID", "SLURM_STEP_ID", "SLURM_JOB_ID", "PMI_FD", "RANK")} == {
        "A": "a",
        "SLURM_PROCID": "2",
        "SLURM_STEP_ID": "1",
        "SLURM_JOB_ID": "7",
        "PMI_FD": "9",
        "RANK": "mine",
    }
    assert found["WANDB_RUN_ID"] == "r"
    assert "HOME" not in found
    assert "CUDA_VISIBLE_DEVICES" not in found


@pytest.mark.parametrize(
    ("devices", "each", "seen"), [("4,5,6,7,8,9", 2, "8,9"), (None, 1, "2"), ("0,1,2", None, "0,1,2")]
)
def test_a_task_sees_its_own_gpus_where_asked_for_and_in_a_container_too(devices, each, seen):
    environment = {**TOLD["environment"], **({"CUDA_VISIBLE_DEVICES": devices} if devices else {})}
    told = {**TOLD, "environment": environment, "gpus_per_task": each, "contained": True}
    found = variables_of_task(told, {"SLURM_PROCID": "2", "SLURM_LOCALID": "2"})
    assert found["CUDA_VISIBLE_DEVICES"] == seen
    if each:
        assert found["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == seen
    assert found["APPTAINERENV_RANK"] == "2"
    # No hook gives an id there.
    assert found["APPTAINERENV_WANDB_RUN_ID"] == "r-3"
