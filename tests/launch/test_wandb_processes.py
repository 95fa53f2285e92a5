"""Real wandb clients in several processes of one command: ranks, forks, one run after another."""

from __future__ import annotations

import json

import pytest

from support.attempt_files import attempts_of
from support.launching import (
    is_running,
    lines,
    make_run,
    process_name,
    run_to_end,
    running_descendants,
    start,
    wait_for,
    wait_for_line,
)
from support.wandb_commands import LOG_TEN, exit_codes, values

TEN = [step / 2 for step in range(10)]


# Two processes that call wandb.init at the same moment may take the same folder (seen with 0.27.2 on a busy machine):
# that is wandb's, and not what the tests of ranks are about.
WAIT_FOR_SEGMENTS = """
import glob, os, time

def wait_for_segments(number):
    while len(glob.glob(os.environ["WANDB_DIR"] + "/wandb/offline-run-*/run-*.wandb")) < number:
        time.sleep(0.02)
"""

RANKS = (
    WAIT_FOR_SEGMENTS
    + """
import subprocess, sys
if len(sys.argv) == 1:
    ranks = []
    for rank in range(3):
        ranks.append(subprocess.Popen([sys.executable, __file__, str(rank)]))
        wait_for_segments(rank + 1)
    sys.exit(max(rank.wait() for rank in ranks))
import wandb
rank = int(sys.argv[1])
run = wandb.init()
for step in range(10):
    run.log({"loss": step / 2, "rank": rank})
# All at once.
open(f"up-{rank}", "w").close()
while not all(os.path.exists(f"up-{other}") for other in range(3)):
    time.sleep(0.01)
run.log({"last": rank})
run.finish()
"""
)


def test_ranks_that_each_call_init_do_not_get_in_each_others_way(tmp_path, python):
    (tmp_path / "ranks.py").write_text(RANKS)
    folder = make_run(tmp_path / "run", [python, str(tmp_path / "ranks.py")])
    code, errors = run_to_end(folder)
    assert code == 0, errors
    segments = folder.segments()
    assert sorted(values(segment, "last") for segment in segments) == [[0], [1], [2]]
    assert [values(segment) for segment in segments] == [TEN] * 3
    assert [exit_codes(segment) for segment in segments] == [[0]] * 3
    assert attempts_of(folder)[0]["segments"] == [segment.name for segment in segments]


RANKS_WITHOUT_FINISH = WAIT_FOR_SEGMENTS + """
import subprocess, sys
ends = {"killed": "os.kill(os.getpid(), 9)", "failed": "sys.exit(3)", "well": ""}
ranks = []
for name, end in ends.items():
    ranks.append(subprocess.Popen([sys.executable, "-c", %r + f"run.log({{'rank': {name!r}}})\\n" + end]))
    wait_for_segments(len(ranks))
while any(rank.poll() is None for rank in ranks):
    time.sleep(0.5)
sys.exit(int(sys.argv[1]))
"""  # fmt: skip
RANKS_WITHOUT_FINISH %= LOG_TEN


@pytest.mark.parametrize("command_exits_with", [0, 1])
def test_each_rank_ends_with_its_own_exit_code_whatever_the_command_makes_of_it(tmp_path, python, command_exits_with):
    # The parent looks every half second, as torchrun does, and unlike it does not care.
    folder = make_run(tmp_path / "run", [python, "-c", RANKS_WITHOUT_FINISH, str(command_exits_with)])
    assert run_to_end(folder)[0] == command_exits_with
    assert [values(segment) for segment in folder.segments()] == [TEN] * 3
    codes = {values(segment, "rank")[0]: exit_codes(segment) for segment in folder.segments()}
    assert codes == {"killed": [137], "failed": [3], "well": [0]}


def test_a_wandb_core_is_ended_with_its_process_and_not_kept_until_the_command_ends(tmp_path, python):
    code = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {LOG_TEN!r}])
while not os.path.exists("go"):
    time.sleep(0.5)
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    launcher = start(folder)
    wait_for_line(folder, "logged ten")

    def cores() -> list[int]:
        return [pid for pid in running_descendants(launcher.pid) if process_name(pid) == "wandb-core"]

    wait_for(lambda: not cores(), "the end of the wandb-core")
    (tmp_path / "go").touch()
    launcher.communicate(timeout=60)
    assert launcher.returncode == 0


def test_a_forked_child_goes_on_with_its_parents_run(tmp_path, python):
    code = f"""
{LOG_TEN}
pid = os.fork()
if pid == 0:
    run.log({{"child": 1}})
    sys.stdout.flush()
    time.sleep(0.5)
    os._exit(0)
os.waitpid(pid, 0)
run.log({{"loss": 99}})
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder)[0] == 0
    (segment,) = folder.segments()
    assert values(segment) == [*TEN, 99]
    assert values(segment, "child") == [1]
    assert exit_codes(segment) == [0]


def test_forked_data_loader_workers_change_nothing(tmp_path, python):
    code = f"""
import multiprocessing
def work(queue):
    while True:
        queue.put(os.getpid())
{LOG_TEN}
context = multiprocessing.get_context("fork")
queue = context.Queue(4)
workers = [context.Process(target=work, args=(queue,), daemon=True) for _ in range(2)]
for worker in workers:
    worker.start()
print("workers", [queue.get() for _ in range(20)] and [worker.pid for worker in workers])
os.kill(os.getpid(), 9)
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    # The workers have inherited the connection; it is not closed before they are.
    assert run_to_end(folder)[0] == 137
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [137]
    workers = next(json.loads(line.removeprefix("workers")) for line in lines(folder) if line.startswith("workers"))
    assert not [pid for pid in workers if is_running(pid)]


def test_two_runs_of_one_process_one_after_the_other(tmp_path, python):
    code = LOG_TEN + "run.finish()\nrun = wandb.init()\nrun.log({'loss': 99})\nos.kill(os.getpid(), 9)"
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder)[0] == 137
    first, second = folder.segments()
    assert (values(first), exit_codes(first)) == (TEN, [0])
    assert (values(second), exit_codes(second)) == ([99], [137])


def test_a_second_attempt_names_its_own_segments_alone(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", LOG_TEN])
    run_to_end(folder)
    before = {segment.name for segment in folder.segments()}
    run_to_end(folder)
    (new,) = {segment.name for segment in folder.segments()} - before
    assert attempts_of(folder)[1]["segments"] == [new]
    assert json.loads(folder.trained_file.read_text())["attempt"] == 2
