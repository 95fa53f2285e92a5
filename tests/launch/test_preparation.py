"""The environment and the folders that a command finds."""

from __future__ import annotations

import os
import subprocess

from runferry.runs.folder import RunFolder
from support.attempt_files import attempts_of
from support.launching import lines, make_run, python

FAKE_ENVIRONMENT = """
import signal, sys, time, types
from pathlib import Path

def unpack(record_file, destination):
    print("unpacking to", destination, flush=True)
    {unpacking}
    unpacked = destination / "environment-abc123"
    (unpacked / "bin").mkdir(parents=True)
    program = unpacked / "bin" / "train"
    program.write_text("#!/bin/sh\\necho path $PATH\\necho virtual $VIRTUAL_ENV\\n")
    program.chmod(0o755)
    return unpacked

sys.modules["runferry.environment.archive"] = types.SimpleNamespace(unpack=unpack)
"""


def start_with_fake_environment(folder: RunFolder, unpacking: str, **variables: str) -> subprocess.Popen[str]:
    from support.launching import LAUNCH

    code = FAKE_ENVIRONMENT.format(unpacking=unpacking) + LAUNCH
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    return subprocess.Popen(
        python(code, str(folder.path), "{}"),
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_environment_comes_first_in_path(tmp_path):
    folder = make_run(tmp_path / "run", ["train"], environment="../environment.json")
    launcher = start_with_fake_environment(folder, "pass", PATH="/usr/bin:/bin", SLURM_TMPDIR=str(tmp_path))
    launcher.communicate()
    assert launcher.returncode == 0
    unpacked = tmp_path / "environment-abc123"
    assert f"path {unpacked}/bin:/usr/bin:/bin" in lines(folder)
    assert f"virtual {unpacked}" in lines(folder)
    assert attempts_of(folder)[0]["environment"] == "abc123"


def test_the_jobs_own_folder_keeps_the_environment_for_the_next_run(tmp_path):
    folder = make_run(tmp_path / "run", ["train"], environment="../environment.json")
    start_with_fake_environment(folder, "pass", SLURM_TMPDIR=str(tmp_path / "job")).communicate()
    # A folder that is not there is not used; see the next test for what is used then.
    assert not (tmp_path / "job").exists()
    (tmp_path / "job").mkdir()
    start_with_fake_environment(folder, "pass", SLURM_TMPDIR=str(tmp_path / "job")).communicate()
    assert (tmp_path / "job" / "environment-abc123").is_dir()


def test_a_temporary_environment_is_removed(tmp_path):
    temporary = tmp_path / "t"
    temporary.mkdir()
    folder = make_run(tmp_path / "run", ["train"], environment="../environment.json")
    launcher = start_with_fake_environment(folder, "pass", TMPDIR=str(temporary))
    shown, _ = launcher.communicate()
    assert launcher.returncode == 0
    assert shown.startswith(f"unpacking to {temporary}/runferry_")
    assert list(temporary.iterdir()) == []


def test_a_signal_while_the_environment_is_unpacked_ends_the_attempt(tmp_path):
    folder = make_run(tmp_path / "run", ["touch", str(tmp_path / "ran")], environment="../environment.json")
    launcher = start_with_fake_environment(folder, "time.sleep(600)")
    launcher.stdout.readline()
    launcher.terminate()
    _, errors = launcher.communicate()
    assert launcher.returncode == 143
    (attempt,) = attempts_of(folder)
    assert (attempt["outcome"], attempt["signal"]) == ("killed", "SIGTERM")
    assert "stopped before the command was started" in errors
    assert not (tmp_path / "ran").exists()
