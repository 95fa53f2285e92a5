"""What is near its deletion by the site."""

from __future__ import annotations

import getpass
import json
import os
import time
from types import SimpleNamespace

import pytest

from runferry.cli.main import main
from runferry.report.status import purge
from support.housekeeping import synced
from support.written_runs import log_of

pytestmark = pytest.mark.usefixtures("connected")


@pytest.fixture
def days_later(monkeypatch):
    """Let days go by for the purge alone: when a file was changed (its ctime) cannot be set."""

    def later(days):
        moment = time.time() + days * 86400
        monkeypatch.setattr(purge, "time", SimpleNamespace(time=lambda: moment))
        return moment

    return later


def test_status_names_what_is_unsynced_damaged_and_near_the_purge(runs, tmp_path, capsys, monkeypatch, days_later):
    synced(runs[:1])
    log = log_of(runs[1])
    log.write_bytes(log.read_bytes()[:-5])
    os.utime(log, (time.time(), time.time() - 100))
    later = days_later(55)
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
    for run in runs[1:]:
        os.utime(log_of(run), (later, later - 10))
    assert main(["status", str(tmp_path / "results")]) == 0
    assert "purged" not in capsys.readouterr().out


def test_a_sync_that_leaves_something_old_behind_says_when_it_is_purged(
    runs, server, tmp_path, capsys, monkeypatch, days_later
):
    days_later(61)
    monkeypatch.setenv("CC_CLUSTER", "trillium")
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    server.faults({"match": "file_stream", "run": runs[1].path.name, "status": 400})
    command = ["sync", "--patience", "0.3", str(tmp_path / "results")]
    assert main(command) == 1
    said = "scratch is purged after 60 days (the site's pages disagree, another one says that it is not purged yet): "
    said += f"{log_of(runs[1])} at any time now; run: runferry sync"
    assert said in capsys.readouterr().err
    server.faults()
    assert main(command) == 0
    assert "purged" not in capsys.readouterr().err


def test_the_purge_counts_when_a_log_was_last_read_not_when_it_was_written(
    runs, tmp_path, capsys, monkeypatch, days_later
):
    monkeypatch.setenv("CC_CLUSTER", "narval")
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    later = days_later(58)
    for run in runs:
        # Written 158 days ago, read 57 days later than it was made.
        os.utime(log_of(run), (later - 86400, later - 158 * 86400))
    assert main(["status", str(tmp_path / "results")]) == 0
    shown = capsys.readouterr().out
    assert "written to 158 days ago" in shown
    assert "purged" not in shown


def test_what_the_sites_own_list_names_is_said_at_once(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CC_CLUSTER", "narval")
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    find = purge.find_cluster
    listed = tmp_path / "to_delete" / getpass.getuser()
    listed.parent.mkdir()

    def found(name):
        days = find(name).scratch_purge_days
        return SimpleNamespace(scratch_purge_days=days, scratch_purge_note=None, scratch_purge_list=str(listed))

    monkeypatch.setattr(purge, "find_cluster", found)
    oldest = log_of(runs[1])
    os.utime(oldest, (time.time(), time.time() - 100))
    for text, named in (("/scratch/other/file 2026-01-01\n", False), (f"{oldest.resolve()} 2026-01-01\n", True)):
        listed.write_text(text)
        assert main(["status", str(tmp_path / "results")]) == 0
        line = f"{listed} names {oldest}, which the site is about to purge; run: runferry sync"
        assert (line in capsys.readouterr().out) is named
