"""Temporary folders of processes that were killed are removed, and those of others are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runferry.system.temporary_folders import OwnedFolder, remove_abandoned

# Makes folders, says which, and lasts; the child of a fork has a share in one.
OWNER = """
import os, sys, time
from runferry.system.temporary_folders import OwnedFolder
own = OwnedFolder.make()
(own.path / "environment").mkdir()
if "fork" in sys.argv and os.fork():
    os._exit(0)
print(own.path, os.getpid(), flush=True)
time.sleep(600)
"""
# Looks for abandoned folders while others make theirs.
BUSY = """
from runferry.system.temporary_folders import OwnedFolder, remove_abandoned
for _ in range(300):
    own = OwnedFolder.make()
    (own.path / "file").touch()
    remove_abandoned()
    assert (own.path / "file").exists()
    own.remove()
    assert not own.path.exists()
"""


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def parent(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("forks", [False, True])
def test_a_folder_is_removed_when_its_last_process_was_killed(parent, forks):
    words = [sys.executable, "-c", OWNER, *(["fork"] if forks else [])]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        path, pid = owner.stdout.readline().split()
        if forks:
            owner.wait()
        remove_abandoned()
        assert _names(parent) == [Path(path).name]
        os.kill(int(pid), signal.SIGKILL)
        # The end of its output is the end of the process.
        owner.stdout.read()
    remove_abandoned()
    assert _names(parent) == []


def test_what_is_not_a_jobs_stays(parent):
    own = OwnedFolder.make()
    kept = ["runferry-abcdefgh", "runferry-sync-abcdefgh", "runferry_notes", "other"]
    for name in kept:
        (parent / name).mkdir()
    (parent / "runferry_afile123").touch()
    (parent / "runferry_alink123").symlink_to(parent / "other")
    remove_abandoned()
    assert _names(parent) == sorted([own.path.name, *kept, "runferry_afile123", "runferry_alink123"])
    own.remove()
    assert not own.path.exists()


def test_another_users_folder_stays(parent, monkeypatch):
    (parent / "runferry_abcdefgh").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    remove_abandoned()
    assert _names(parent) == ["runferry_abcdefgh"]
    monkeypatch.undo()


def test_several_at_once_do_not_take_each_others(parent):
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(3)]
    assert [process.wait(60) for process in busy] == [0, 0, 0]
    assert _names(parent) == []
