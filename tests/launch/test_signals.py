"""Who gets a signal, how often, and what becomes of the command when its launcher is killed."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from runferry.runs.ending import EXIT_STOPPED
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

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP]

# Prints each signal that it gets, and ends with exit code 7 when the second has come.
LISTEN = r"""
import os, signal, subprocess, sys, time
got = []
def handle(number, frame):
    got.append(number)
    # In one write: its child writes to the same log.
    os.write(1, f"got {signal.Signals(number).name}\n".encode())
for number in (1, 2, 10, 12, 15):
    signal.signal(number, handle)
child = subprocess.Popen([sys.executable, "-c", %r])
while not os.path.exists("child-is-up"):
    time.sleep(0.01)
print("child", child.pid)
print("up")
while len(got) < int(sys.argv[1]):
    time.sleep(0.01)
# Another one would have come by now.
time.sleep(0.5)
child.kill()
sys.exit(7)
"""
LISTEN %= r"""
import os, signal, time
for number in (1, 2, 10, 12, 15):
    signal.signal(number, lambda number, frame: os.write(1, f"child got {number}\n".encode()))
open("child-is-up", "w").close()
time.sleep(600)
"""


def listening(tmp_path, count: int):
    return make_run(tmp_path / "run", [sys.executable, "-c", LISTEN, str(count)])


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_is_passed_on_once_and_to_the_command_alone(tmp_path, number):
    folder = listening(tmp_path, 1)
    launcher = start(folder)
    wait_for_line(folder, "up")
    launcher.send_signal(number)
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 7
    assert lines(folder).count(f"got {number.name}") == 1
    assert not [line for line in lines(folder) if line.startswith("child got")]
    (attempt,) = attempts_of(folder)
    assert (attempt["outcome"], attempt["exit_code"]) == ("killed", 7)
    assert attempt["passed_on"] == [number.name]
    assert "failed with exit code 7" in errors


def test_two_interrupts_are_passed_on_as_two(tmp_path):
    folder = listening(tmp_path, 2)
    launcher = start(folder)
    wait_for_line(folder, "up")
    launcher.send_signal(signal.SIGINT)
    wait_for_line(folder, "got SIGINT")
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=60)
    assert launcher.returncode == 7
    assert lines(folder).count("got SIGINT") == 2
    assert attempts_of(folder)[0]["passed_on"] == ["SIGINT", "SIGINT"]


def test_a_signal_to_all_processes_reaches_the_command_once(tmp_path):
    folder = listening(tmp_path, 1)
    launcher = start(folder)
    wait_for_line(folder, "up")
    for pid in [launcher.pid, *running_descendants(launcher.pid)]:
        os.kill(pid, signal.SIGTERM)
    launcher.communicate(timeout=60)
    assert launcher.returncode == 7
    assert lines(folder).count("got SIGTERM") == 1
    assert attempts_of(folder)[0]["passed_on"] == ["SIGTERM"]


def test_a_command_that_heeds_no_signal_is_waited_for(tmp_path):
    code = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: print("saving"))
print("up")
while not os.path.exists("go"):
    time.sleep(0.01)
print("saved")
"""
    folder = make_run(tmp_path / "run", [sys.executable, "-c", code])
    launcher = start(folder)
    wait_for_line(folder, "up")
    launcher.terminate()
    wait_for_line(folder, "saving")
    assert launcher.poll() is None
    (tmp_path / "go").touch()
    launcher.communicate(timeout=60)
    assert "saved" in lines(folder)
    # Who was asked to stop, saves and ends with 0 has more to do: it is not taken for trained.
    assert launcher.returncode == EXIT_STOPPED
    assert (attempts_of(folder)[0]["outcome"], attempts_of(folder)[0]["reason"]) == ("stopped", "stopped")
    assert not folder.trained_file.exists()


def test_the_child_of_a_shell_script_is_told_when_the_script_is_terminated(tmp_path):
    child = """
import signal, sys, time
def save(*_):
    print("child saved")
    sys.exit()
signal.signal(signal.SIGTERM, save)
print("up")
time.sleep(600)
"""
    script = tmp_path / "train.sh"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" -c "$1"\necho after\n')
    script.chmod(0o755)
    folder = make_run(tmp_path / "run", [str(script), child])
    launcher = start(folder)
    wait_for_line(folder, "up")
    launcher.terminate()
    launcher.communicate(timeout=60)
    assert launcher.returncode == 143
    assert "child saved" in lines(folder)


def test_an_ignored_hangup_stays_ignored(tmp_path):
    # As nohup does.
    folder = make_run(tmp_path / "run", ["grep", "SigIgn", "/proc/self/status"])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_to_end(folder)[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    (mask,) = (int(line.split()[1], 16) for line in lines(folder) if line.startswith("SigIgn"))
    assert mask & 1 << signal.SIGHUP - 1


def test_the_command_starts_with_no_signal_ignored_or_blocked(tmp_path):
    folder = make_run(tmp_path / "run", ["grep", "-E", "SigIgn|SigBlk|Seccomp:|NoNewPrivs", "/proc/self/status"])
    assert run_to_end(folder)[0] == 0
    found = dict(line.split(":\t") for line in lines(folder) if ":\t" in line)
    wanted = sum(1 << number - 1 for number in SIGNALS)
    assert int(found["SigIgn"], 16) & wanted == 0
    assert int(found["SigBlk"], 16) & wanted == 0
    # The shield of wandb-core is not the training's.
    assert found["NoNewPrivs"] == "0"


def test_when_the_launcher_is_killed_the_command_is_ended_and_the_record_says_so(tmp_path):
    code = """
import subprocess, signal, sys, time
child = subprocess.Popen(["sleep", "600"])
def save(*_):
    print("saved")
    sys.exit()
signal.signal(signal.SIGTERM, save)
print("up")
time.sleep(600)
"""
    folder = make_run(tmp_path / "run", [sys.executable, "-c", code])
    launcher = start(folder, {"TMPDIR": str(tmp_path)})
    wait_for_line(folder, "up")
    below = running_descendants(launcher.pid)
    assert {"sleep"} < {process_name(pid) for pid in below}
    launcher.kill()
    launcher.communicate()
    wait_for(lambda: not [pid for pid in below if is_running(pid)], "the end of all that the launcher had started")
    assert "saved" in lines(folder)
    (attempt,) = attempts_of(folder)
    assert (attempt["outcome"], attempt["signal"]) == ("killed", "SIGKILL")
    assert "the launcher was killed" in attempt["message"]
    assert not folder.trained_file.exists()
    assert not list(tmp_path.glob("runferry*"))


def test_when_the_launcher_is_killed_a_command_that_does_not_heed_sigterm_is_killed(tmp_path):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(600)"
    folder = make_run(tmp_path / "run", [sys.executable, "-c", code])
    launcher = start(folder, grace_seconds=0.5)
    wait_for_line(folder, "up")
    below = running_descendants(launcher.pid)
    launcher.kill()
    launcher.communicate()
    wait_for(lambda: not [pid for pid in below if is_running(pid)], "the end of all that the launcher had started")


# On a busy machine the launcher may not get to run for a while after the command has begun.
SLOW_START = """
import subprocess, time
start = subprocess.Popen.__init__
def start_and_wait(*arguments, **options):
    start(*arguments, **options)
    # Not for git, which is asked for the code's commit before.
    time.sleep(0 if arguments[1][0] == "git" else 60)
subprocess.Popen.__init__ = start_and_wait
"""


def test_a_launcher_that_is_killed_just_after_the_command_has_begun_leaves_no_process(tmp_path):
    folder = make_run(tmp_path / "run", ["/bin/sh", "-c", "kill -KILL $PPID; echo pid $$; exec sleep 600"])
    launcher = start(folder, before=SLOW_START, grace_seconds=0.5)
    launcher.communicate(timeout=60)
    assert launcher.returncode == -signal.SIGKILL
    (line,) = wait_for(lambda: [line for line in lines(folder) if line.startswith("pid ")], "the command")
    pid = int(line.removeprefix("pid "))
    wait_for(lambda: not is_running(pid), "the end of the command")
    message = wait_for(lambda: attempts_of(folder)[0]["message"], "the record of its end")
    assert "the launcher was killed" in message


def test_when_the_keeper_is_killed_the_command_goes_on(tmp_path):
    code = "import os, time\nprint('pid', os.getpid())\nwhile not os.path.exists('go'): time.sleep(0.01)"
    folder = make_run(tmp_path / "run", [sys.executable, "-c", code])
    launcher = start(folder)
    pid = wait_for(
        lambda: folder.log_file.exists() and [line for line in lines(folder) if line.startswith("pid")],
        "the command",
    )[0].removeprefix("pid ")
    below = {pid: process_name(pid) for pid in running_descendants(launcher.pid)}
    (keeper,) = [other for other, name in below.items() if name.startswith("python") and str(other) != pid]
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: not [pid for pid, name in below.items() if name == "wandb-core" and is_running(pid)], "wandb-core")
    (tmp_path / "go").touch()
    _, errors = launcher.communicate(timeout=60)
    assert launcher.returncode == 0
    assert "wandb-core has not written everything, so that rows may be missing" in errors
