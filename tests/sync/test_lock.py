"""The lock of a results folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from runferry.runs.folder import FOLDER, RunFolder
from runferry.sync.engine import sync
from runferry.sync.lock import LockLostError, results_lock
from runferry.system.files import write_json
from support.sync_processes import QUICK, completes

pytestmark = pytest.mark.usefixtures("connected")


def test_a_copied_results_folder_keeps_its_receipts(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    completes(server, folders)
    shutil.copytree(tmp_path / "results", tmp_path / "copy", symlinks=True)
    server.clear_requests()
    copies = [RunFolder(tmp_path / "copy" / "experiment" / folder.path.name) for folder in folders]
    assert [outcome.problem for outcome in sync(copies, QUICK)] == [None] * 3
    assert server.requests()["total"] == 0


def test_a_holder_on_another_machine_is_waited_for_while_it_is_heard_of(tmp_path, monkeypatch):
    said: list[str] = []
    holder = tmp_path / FOLDER / "holder.json"
    write_json(holder, {"name": "other-1-2", "host": "other", "pid": 1})
    monkeypatch.setattr("runferry.sync.lock.SILENT_SECONDS", 3.0)
    begun = time.monotonic()
    with results_lock(tmp_path, said.append):
        # It was not heard of for three seconds.
        assert time.monotonic() - begun > 2
        assert json.loads(holder.read_text())["host"] == socket.gethostname()
    assert "waiting for runferry on other (process 1)" in said[0]
    assert not holder.exists()


def test_two_machines_without_a_common_kernel_lock_wait_for_each_other(tmp_path, monkeypatch):
    # A host name of its own, as on another login node; the file system's locks are taken away from both.
    code = f"""
import pathlib, time
from runferry.sync import lock
lock._take_flock = lambda *_arguments, **_words: False
with lock.results_lock(pathlib.Path({str(tmp_path)!r}), print):
    print("held", flush=True)
    time.sleep(3)
    print(time.time(), flush=True)
"""
    words = ["unshare", "--uts", "sh", "-c", 'hostname login2 && exec "$0" -c "$1"', sys.executable, code]
    monkeypatch.setattr("runferry.sync.lock._take_flock", lambda *_arguments, **_words: False)
    said: list[str] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with results_lock(tmp_path, said.append) as hold:
            begun = time.time()
            hold.check()
        assert begun >= float(other.stdout.readline())
    assert "waiting for runferry on login2" in said[0]
    assert not (tmp_path / FOLDER / "holder.json").exists()


def test_one_who_lost_the_lock_to_another_machine_sends_nothing_more(tmp_path):
    with results_lock(tmp_path, lambda _: None) as hold:
        hold.check()
        write_json(tmp_path / FOLDER / "holder.json", {"name": "other-1-2", "host": "other", "pid": 1})
        with pytest.raises(LockLostError, match="found that other took it"):
            hold.check()
    assert (tmp_path / FOLDER / "holder.json").exists(), "the other one's is left"


def test_a_holder_of_this_machine_that_was_killed_is_not_waited_for(tmp_path):
    write_json(tmp_path / FOLDER / "holder.json", {"name": "x", "host": socket.gethostname(), "pid": os.getpid()})
    begun = time.monotonic()
    with results_lock(tmp_path, lambda _: None):
        assert time.monotonic() - begun < 1
