"""The wandb-core of a training environment: found, started, spoken to, shielded and ended."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runferry.errors import LaunchError
from runferry.system.processes import stat_fields
from runferry.trackers.wandb.core import Core, find_core
from support.cores import ask
from support.launching import process_name, wait_for


@pytest.fixture
def installed(python):
    found = find_core([str(python)], os.environ["PATH"])
    assert found
    return found


@pytest.fixture
def log(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        yield file.fileno()


def test_it_is_found_beside_the_command(installed, python, version):
    assert installed.version == version
    assert installed.binary.parents[2] == Path(
        ask(python, "import site; print(site.getsitepackages()[0])").strip().decode()
    )


def test_it_is_found_beside_the_python_of_the_path(python, version):
    for command in (["/usr/bin/env", "python"], ["bash", "train.sh"], ["no-such-program"]):
        found = find_core(command, f"{python.parent}:/usr/bin:/bin")
        assert found
        assert found.version == version


def test_none_is_found_where_wandb_is_not_installed(tmp_path):
    assert find_core(["bash"], str(tmp_path)) is None


def test_it_starts_and_ends_and_says_nothing(installed, tmp_path, log):
    core = Core.start(installed.binary, tmp_path, os.environ, log)
    core.connect().close()
    assert core.finish(0, 30)
    assert core.process.returncode == 0
    assert (tmp_path / "log").read_bytes() == b""


def test_ending_one_that_has_died_is_no_error(installed, tmp_path, log):
    core = Core.start(installed.binary, tmp_path, os.environ, log)
    core.process.kill()
    core.process.wait()
    assert not core.finish(0, 30)


def test_one_that_does_not_answer_is_killed(installed, tmp_path, log):
    core = Core.start(installed.binary, tmp_path, os.environ, log)
    core.process.send_signal(signal.SIGSTOP)
    state = Path(f"/proc/{core.process.pid}/stat")
    wait_for(lambda: stat_fields(state.read_text())[0] == "T", "it to stop")
    assert not core.finish(0, 0.2)
    assert core.process.returncode == -signal.SIGKILL


def test_one_that_ends_at_once_is_an_error_that_names_it(tmp_path, log):
    with pytest.raises(
        LaunchError, match="/false: found it ended with exit code 1, expected it to wait for connections"
    ):
        Core.start(Path("/bin/false"), tmp_path, os.environ, log)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64", "ppc64le"), reason="no filter for this machine")
def test_a_shielded_program_cannot_undo_it():
    # In a process of its own: a shield is for ever.
    code = """
import os, signal, subprocess, sys
from runferry.system.signals import JOB_SIGNALS, shield
assert shield()
program = '''
import os, signal, sys
for number in map(int, sys.argv[1:]):
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.signal(number, lambda *_: print("handled"))
    os.kill(os.getpid(), number)
# Others are as they were.
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
os.kill(os.getpid(), signal.SIGALRM)
print("alive")
'''
sys.exit(subprocess.run([sys.executable, "-c", program, *map(str, map(int, JOB_SIGNALS))]).returncode)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == ["alarm", "alive"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_without_the_shield_wandb_core_would_die_though_the_signal_is_blocked_and_ignored(
    wandb_python, tmp_path, log, number
):
    """The reason for the shield; should this fail one day, the shield may have become needless."""
    installed = find_core([str(wandb_python("0.31.0"))], os.environ["PATH"])
    assert installed
    before = signal.signal(number, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        core = Core.start(installed.binary, tmp_path, os.environ, log)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(number, before)
    assert process_name(core.process.pid) == "wandb-core"
    core.process.send_signal(number)
    assert core.process.wait(30) != 0
