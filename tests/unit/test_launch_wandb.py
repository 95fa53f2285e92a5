"""What real wandb clients log reaches the disk, however they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launching import (
    KEY,
    WANDB_VERSIONS,
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

from runferry.trackers.wandb.log.framing import TransactionLog
from runferry.trackers.wandb.log.messages import parser
from runferry.trackers.wandb.log.segment import history, read_segment

LOG_TEN = """
import os, signal, sys, time
import wandb
run = wandb.init()
for step in range(10):
    run.log({"loss": step / 2})
print("pid", os.getpid())
print("logged ten")
"""


@pytest.fixture(params=WANDB_VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def python(version, wandb_python):
    return str(wandb_python(version))


def values(segment: Path, name: str = "loss") -> list[float]:
    return [row[name] for row in history(segment) if name in row]


def exit_codes(segment: Path) -> list[int]:
    """Of all exit records in a segment: there must be one."""
    (log,) = segment.glob("run-*.wandb")
    records = [parser("Record")(record) for record in TransactionLog(log)]
    return [record.exit.exit_code for record in records if record.HasField("exit")]


TEN = [step / 2 for step in range(10)]


def test_a_run_that_ends_normally_has_its_rows_and_one_exit_record(tmp_path, python, version):
    folder = make_run(tmp_path / "run", [python, "-c", LOG_TEN])
    assert run_to_end(folder, {"WANDB_API_KEY": KEY})[0] == 0
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [0]
    assert read_segment(segment).run_id == "k3j9"
    (attempt,) = folder.attempts()
    assert attempt["segments"] == [segment.name]
    assert attempt["wandb"] == version
    assert attempt["message"] is None
    assert json.loads(folder.trained_file.read_text())["segments"] == [segment.name]


def test_a_run_that_raises_has_its_own_exit_record(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", f"{LOG_TEN}\nraise ValueError('diverged')"])
    code, errors = run_to_end(folder)
    assert code == 1
    assert "ValueError: diverged" in errors
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda number: number.name)
def test_a_killed_process_has_all_its_rows_and_an_exit_record_that_says_failed(tmp_path, python, number):
    folder = make_run(tmp_path / "run", [python, "-c", f"{LOG_TEN}\nos.kill(os.getpid(), {int(number)})"])
    assert run_to_end(folder)[0] == 128 + number
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [128 + number]
    assert read_segment(segment).damage is None


def test_thousands_of_rows_survive_a_kill_too(tmp_path, python):
    # Far more than the sockets between the processes hold. What the client itself still holds is gone with it, so it
    # is made to wait for an answer, which comes after the rows.
    code = """
import os
import wandb
run = wandb.init()
for step in range(5000):
    run.log({"loss": step, "text": "x" * 100})
print("last", run.summary["loss"])
os.kill(os.getpid(), 9)
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder)[0] == 137
    (segment,) = folder.segments()
    assert values(segment) == list(range(5000))
    assert exit_codes(segment) == [137]


def test_a_process_killed_in_the_middle_of_a_row_leaves_a_run_that_is_ended(tmp_path, python):
    # A client's last message may be half of one when it is killed while it writes; see where the run ends then.
    code = f"{LOG_TEN}\nfor step in range(100): run.log({{'text': 'x' * 1_000_000}})"
    folder = make_run(tmp_path / "run", [python, "-c", code])
    launcher = start(folder)
    wait_for_line(folder, "logged ten")
    pid = next(int(line.removeprefix("pid")) for line in lines(folder) if line.startswith("pid"))
    wait_for(lambda: (log := next(folder.path.glob("wandb/offline-run-*/run-*.wandb"))) and log.stat().st_size > 5e6,
             "some large rows")  # fmt: skip
    os.kill(pid, signal.SIGKILL)
    launcher.communicate(timeout=60)
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [137]


def test_a_signal_to_every_process_of_the_job_loses_nothing(tmp_path, python):
    code = f"""
import signal, sys, time
def stop(number, frame):
    print("stopping")
    sys.exit(3)
signal.signal(signal.SIGTERM, stop)
{LOG_TEN}
while True:
    time.sleep(0.01)
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    launcher = start(folder)
    wait_for_line(folder, "logged ten")
    everything = [launcher.pid, *running_descendants(launcher.pid)]
    assert "wandb-core" in {process_name(pid) for pid in everything}
    for pid in everything:
        os.kill(pid, signal.SIGTERM)
    launcher.communicate(timeout=60)
    assert launcher.returncode == 3
    assert lines(folder).count("stopping") == 1
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [3]


def test_wandb_core_is_deaf_to_the_signals_of_a_job(tmp_path, python):
    code = "import os, time\n" + LOG_TEN + "\nwhile not os.path.exists('go'): time.sleep(0.01)\nrun.log({'loss': 99})"
    folder = make_run(tmp_path / "run", [python, "-c", code])
    launcher = start(folder)
    wait_for_line(folder, "logged ten")
    cores = [pid for pid in running_descendants(launcher.pid) if process_name(pid) == "wandb-core"]
    assert cores
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        for pid in cores:
            os.kill(pid, number)
    (tmp_path / "go").touch()
    launcher.communicate(timeout=60)
    assert launcher.returncode == 0
    (segment,) = folder.segments()
    assert values(segment) == [*TEN, 99]
    assert exit_codes(segment) == [0]


def test_when_the_launcher_is_killed_every_row_is_kept_and_nothing_lives_on(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", f"{LOG_TEN}\ntime.sleep(600)"])
    launcher = start(folder)
    wait_for_line(folder, "logged ten")
    below = running_descendants(launcher.pid)
    assert "wandb-core" in {process_name(pid) for pid in below}
    launcher.kill()
    launcher.communicate()
    wait_for(lambda: not [pid for pid in below if is_running(pid)], "the end of all that the launcher had started")
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [137]
    (attempt,) = folder.attempts()
    assert attempt["outcome"] == "killed"
    assert attempt["segments"] == [segment.name]


def test_nothing_of_a_run_lives_on_after_it(tmp_path, python):
    folder = make_run(tmp_path / "run", [python, "-c", f"{LOG_TEN}\ntime.sleep(600)"])
    temporary = tmp_path / "t"
    temporary.mkdir()
    launcher = start(folder, {"TMPDIR": str(temporary)})
    wait_for_line(folder, "logged ten")
    below = running_descendants(launcher.pid)
    launcher.terminate()
    launcher.communicate(timeout=60)
    assert not [pid for pid in below if is_running(pid)]
    assert not list(temporary.glob("runferry-*"))


def test_a_temporary_folder_with_a_long_name_is_no_obstacle(tmp_path, python):
    # A Unix socket's path has at most 107 bytes.
    long = tmp_path / ("l" * 120)
    long.mkdir()
    code = f"{LOG_TEN}\nos.kill(os.getpid(), 9)"
    folder = make_run(tmp_path / "run", [python, "-c", code])
    run_to_end(folder, {"TMPDIR": str(long)})
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [137]


def test_a_home_folder_that_cannot_be_written_is_no_obstacle(tmp_path, python):
    # As in the jobs of some sites.
    folder = make_run(tmp_path / "run", [python, "-c", f"{LOG_TEN}\nos.kill(os.getpid(), 9)"])
    run_to_end(folder, {"HOME": "/proc/none"})
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [137]
    # wandb-core's own log, which it would write to stderr.
    assert not [line for line in lines(folder) if "INFO" in line or "ERROR" in line]


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
    assert folder.attempts()[0]["segments"] == [segment.name for segment in segments]


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
    assert folder.attempts()[1]["segments"] == [new]
    assert json.loads(folder.trained_file.read_text())["attempt"] == 2


def test_media_and_artifacts_are_staged_in_the_runs_folder(tmp_path, python):
    code = """
import os, wandb
with open("weights.txt", "w") as file:
    file.write("weights")
run = wandb.init()
artifact = wandb.Artifact("model", type="model")
artifact.add_file("weights.txt")
run.log_artifact(artifact)
run.finish()
"""
    folder = make_run(tmp_path / "run", [python, "-c", code])
    assert run_to_end(folder)[0] == 0
    staged = [file for file in folder.data_folder.glob("**/*") if file.is_file()]
    assert [file for file in staged if file.read_bytes() == b"weights"]


# The script of the page, as it stands there.
PAGE = """
import wandb

wandb.init(project="wandb-pytorch-test", settings=wandb.Settings(start_method="fork"))

for my_metric in range(10):
    wandb.log({'my_metric': my_metric})
"""


def test_the_script_of_the_page_runs_unchanged_with_the_wheelhouses_wandb(tmp_path, wandb_python):
    (tmp_path / "wandb-test.py").write_text(PAGE)
    folder = make_run(tmp_path / "run", [str(wandb_python("0.27.2")), "wandb-test.py"])
    assert run_to_end(folder)[0] == 0
    (segment,) = folder.segments()
    assert values(segment, "my_metric") == list(range(10))
    assert read_segment(segment).project == "wandb-pytorch-test"


def test_the_script_of_the_page_says_in_one_line_what_a_new_wandb_wants(tmp_path, wandb_python):
    (tmp_path / "wandb-test.py").write_text(PAGE)
    folder = make_run(tmp_path / "run", [str(wandb_python("0.31.0")), "wandb-test.py"])
    code, errors = run_to_end(folder)
    assert code == 1
    assert errors.splitlines()[0] == (
        "runferry: run k3j9 failed with exit code 1: wandb 0.31.0 no longer has the setting start_method (removed in "
        "0.29): remove settings=wandb.Settings(start_method=...) from the script, or pin wandb<0.29 in the "
        f"requirements. Log: {folder.log_file}"
    )
    assert folder.segments() == []


def test_a_wandb_core_that_does_not_start_is_a_warning_and_the_command_runs(tmp_path):
    # A prefix of its own, in which wandb is broken.
    binary = tmp_path / "prefix" / "lib" / "python3.11" / "site-packages" / "wandb" / "bin" / "wandb-core"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\nexit 5\n")
    binary.chmod(0o755)
    program = tmp_path / "prefix" / "bin" / "train"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "service=$WANDB_SERVICE"\n')
    program.chmod(0o755)
    folder = make_run(tmp_path / "run", [str(program)])
    assert run_to_end(folder)[0] == 0
    assert "service=" in lines(folder)
    (warning,) = [line for line in lines(folder) if "wandb-core" in line]
    assert warning.startswith(
        f"runferry: {binary}: found it ended with exit code 5, expected it to wait for connections; if the command"
    )


def test_without_wandb_in_the_environment_there_is_no_warning(tmp_path):
    code = "import os; print('service', os.environ.get('WANDB_SERVICE'))"
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    folder = make_run(tmp_path / "run", [str(bare / "bin" / "python"), "-c", code])
    assert run_to_end(folder, {"PATH": f"{bare}/bin:/usr/bin:/bin"})[0] == 0
    assert "service None" in lines(folder)
    assert not [line for line in lines(folder) if "wandb-core" in line]
    assert folder.attempts()[0]["wandb"] is None
