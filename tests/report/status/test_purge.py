"""What is near its deletion by the site."""

from __future__ import annotations

import json
import os
import time

import pytest

from runferry.cli.main import main
from support.housekeeping import synced
from support.written_runs import log_of

pytestmark = pytest.mark.usefixtures("connected")


def test_status_names_what_is_unsynced_damaged_and_near_the_purge(runs, tmp_path, capsys, monkeypatch):
    synced(runs[:1])
    log = log_of(runs[1])
    log.write_bytes(log.read_bytes()[:-5])
    old = time.time() - 55 * 86400
    os.utime(log, (old, old))
    monkeypatch.setenv("CC_CLUSTER", "narval")
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    assert main(["status", "--json", str(tmp_path / "results")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["states"]["done"], found["states"]["unsynced"]) == (1, 2)
    assert found["oldest_unsynced"] == str(log)
    assert found["oldest_unsynced_days"] == 55.0
    assert found["purge_days"] == 60
    assert "cut off" in found["damaged"][str(log.parent)]
    assert main(["status", str(tmp_path / "results")]) == 0
    shown = capsys.readouterr().out
    assert "scratch is purged after 60 days" in shown
    assert "in 5 days; run: runferry sync" in shown
    # What is old and was synced is not warned about, nor is what is young.
    os.utime(log)
    os.utime(log_of(runs[0]), (old, old))
    assert main(["status", str(tmp_path / "results")]) == 0
    assert "purged" not in capsys.readouterr().out


def test_a_sync_that_leaves_something_old_behind_says_when_it_is_purged(runs, server, tmp_path, capsys, monkeypatch):
    old = time.time() - 61 * 86400
    os.utime(log_of(runs[1]), (old, old))
    monkeypatch.setenv("CC_CLUSTER", "rorqual")
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    server.faults({"match": "file_stream", "run": runs[1].path.name, "status": 400})
    command = ["sync", "--patience", "0.3", str(tmp_path / "results")]
    assert main(command) == 1
    said = f"scratch is purged after 60 days: {log_of(runs[1])} at any time now; run: runferry sync"
    assert said in capsys.readouterr().err
    server.faults()
    assert main(command) == 0
    assert "purged" not in capsys.readouterr().err
