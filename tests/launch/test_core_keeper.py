"""What real wandb clients log reaches the disk, however they end."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from runferry.trackers.wandb.log.segment import read_segment
from support.attempt_files import attempts_of
from support.launching import (
    KEY,
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

if TYPE_CHECKING:
    import subprocess

    from runferry.runs.folder import RunFolder

TEN = [step / 2 for step in range(10)]


def test_a_run_that_ends_normally_has_its_rows_and_one_exit_record(tmp_path, python, version):
    folder = make_run(tmp_path / "run", [python, "-c", LOG_TEN])
    assert run_to_end(folder, {"WANDB_API_KEY": KEY})[0] == 0
    (segment,) = folder.segments()
    assert values(segment) == TEN
    assert exit_codes(segment) == [0]
    assert read_segment(segment).run_id == "k3j9"
    (attempt,) = attempts_of(folder)
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
    (attempt,) = attempts_of(folder)
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
    assert not list(temporary.glob("runferry*"))


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


def test_what_a_killed_job_left_in_its_temporary_folder_the_next_one_removes_and_no_other_jobs(tmp_path):
    temporary = tmp_path / "t"
    temporary.mkdir()

    def begin(name: str, command: str) -> tuple[subprocess.Popen[str], RunFolder]:
        folder = make_run(tmp_path / name, ["sh", "-c", f"echo begun; {command}"])
        launcher = start(folder, {"TMPDIR": str(temporary)})
        wait_for_line(folder, "begun")
        return launcher, folder

    lasting, _ = begin("lasting", "sleep 600")
    others = set(temporary.glob("runferry*"))
    killed, _ = begin("killed", "sleep 600")
    left = set(temporary.glob("runferry*")) - others
    assert others
    assert left
    # As Slurm does it: everything at once, first stopped so that none sees the end of another.
    below = [killed.pid, *running_descendants(killed.pid)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in below:
            os.kill(pid, number)
    killed.communicate()
    wait_for(lambda: not [pid for pid in below if is_running(pid)], "the end of the job")
    assert left <= set(temporary.iterdir())
    following, _ = begin("next", f"while [ -e {min(left)} ] || [ -e {max(left)} ]; do sleep 0.05; done")
    assert following.wait(20) == 0
    following.communicate()
    assert set(temporary.glob("runferry*")) == others
    lasting.terminate()
    lasting.communicate(timeout=60)
