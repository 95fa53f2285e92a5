"""What happens to disks, processes and people while runs are synced: nothing is lost, nothing comes twice."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runferry.errors import ServerError
from runferry.sync.engine import sync
from runferry.sync.wandb import carrier
from runferry.sync.wandb import receipt as wandb_receipt
from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from runferry.trackers.wandb.log.messages import message_class
from runferry.trackers.wandb.log.segment import history, read_segment
from runferry_standin import running
from support.limits import within
from support.sync_processes import QUICK, completes, sync_process
from support.wandb_clients import NEWEST
from support.written_runs import ROWS, log_of, markers, receipt, rows_of, wait_for, write_run, wrong

pytestmark = pytest.mark.usefixtures("connected")
STREAM = {"match": "file_stream"}
ACCEPTING = replace(QUICK, accept_missing=True)


# Disk


@pytest.mark.parametrize(
    "content",
    [b"", b":W&B\xe1\xbe\x00", b"something else entirely"],
    ids=["empty", "header_only", "wrong_header"],
)
def test_a_bad_segment_keeps_neither_the_other_segments_nor_other_runs(content, written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    # Of an attempt that was killed at once, before the good one; a run of which it is the only one has no receipt.
    for folder in folders[:2]:
        bad = folder.wandb_folder / f"offline-run-20200101_000000-{folder.path.name}"
        bad.mkdir()
        (bad / f"run-{folder.path.name}.wandb").write_bytes(content)
    log_of(folders[2]).write_bytes(content)
    outcomes = sync(folders, QUICK)
    foreign = content.startswith(b"something")
    assert [outcome.problem is None for outcome in outcomes] == [not foreign, not foreign, False]
    if foreign:
        assert "is not read as a whole" in (outcomes[0].problem or "")
        assert [outcome.problem for outcome in sync(folders[:2], ACCEPTING)] == [None, None]
    for folder in folders[:2]:
        assert len(rows_of(server, folder)) == ROWS
        assert any(name.startswith("offline-run-2020") for name in receipt(folder)["unreadable"])
    server.clear_requests()
    assert sync(folders[:2], QUICK)[0].problem is None
    assert server.requests()["total"] == 0


def test_a_first_segment_that_is_cut_off_keeps_the_second_one_not_back(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    expected = {}
    for folder, python in zip(folders, written.pythons.values(), strict=True):
        file = log_of(folder)
        file.write_bytes(file.read_bytes()[:-1500])
        kept = len(list(history(folder.segments()[0])))
        assert kept < ROWS
        write_run(python, folder, first=30, last=35, rich=False)
        expected[folder.path.name] = [*range(kept), *range(30, 35)]
    for outcome, folder in zip(sync(folders, QUICK), folders, strict=True):
        assert outcome.problem is None
        assert [row["_step"] for row in rows_of(server, folder)] == expected[folder.path.name]
        assert receipt(folder)["unreadable"]
        # The last value of the first segment's metrics too, which wandb sync drops.
        assert server.run("demo", "tests", folder.path.name)["summary"]["loss"] == 1 / 35


def test_a_first_segment_that_was_ended_twice_keeps_the_second_one_not_back(written, server, tmp_path):
    # A process killed just after it had finished its run: wandb-core's end writes another exit record behind it.
    folder = written.copied_to(tmp_path / "results")[-1]
    file = log_of(folder)
    again = message_class("Record")(num=10_000, exit={"exit_code": 143}).SerializeToString()
    write_log(file, [*TransactionLog(file), again])
    write_run(written.pythons[NEWEST], folder, first=30, last=35, rich=False)
    assert [read_segment(segment).exit_code for segment in folder.segments()] == [0, 0]
    assert sync([folder], QUICK)[0].problem is None
    assert [row["_step"] for row in rows_of(server, folder)] == [*range(ROWS), *range(30, 35)]


def test_rows_after_a_hole_of_zeros_are_carried(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    for folder in folders:
        file = log_of(folder)
        whole = bytearray(file.read_bytes())
        whole[3000:3600] = bytes(600)
        file.write_bytes(whole)
        steps = [row["_step"] for row in history(folder.segments()[0])]
        assert len(steps) < ROWS
        assert steps[-1] == ROWS - 1
        problem = sync([folder], QUICK)[0].problem or ""
        assert "is not read as a whole" in problem
        assert "sync.accept_missing" in problem
        assert receipt(folder) is None
        assert [row["_step"] for row in rows_of(server, folder)] == steps
        assert file.read_bytes() == bytes(whole), "the original is kept"
        assert sync([folder], ACCEPTING)[0].problem is None
        assert "is not read as a whole" in receipt(folder)["missing"][0]
        assert "unreadable" in json.dumps(receipt(folder)["unreadable"])


def test_the_disk_is_full_when_the_receipt_is_written(written, server, tmp_path, monkeypatch):
    folders = written.copied_to(tmp_path / "results")
    write = wandb_receipt.write_receipt

    def full(folder, *arguments, **more):
        if folder.path == folders[1].path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(folder, *arguments, **more)

    monkeypatch.setattr(carrier, "write_receipt", full)
    assert "No space left" in (sync(folders, QUICK)[1].problem or "")
    assert [receipt(folder) is None for folder in folders] == [False, True, False]
    monkeypatch.undo()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.clear_requests()
    completes(server, folders)
    assert "file_stream" not in server.requests()["counts"]


def test_media_that_is_gone_at_sync_and_comes_back(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    pages = [next(folder.path.glob("wandb/*/files/media/html/*.html")) for folder in folders]
    for page in pages:
        page.rename(page.with_suffix(".away"))
    for outcome in sync(folders, QUICK):
        assert "is not on the server, nor on the disk any more" in (outcome.problem or "")
    # One who knows that they are gone may say so, and the receipt does.
    assert sync(folders[:1], ACCEPTING)[0].problem is None
    assert "media/html" in receipt(folders[0])["missing"][0]
    folders[0].receipt_file.unlink()
    for page in pages:
        page.with_suffix(".away").rename(page)
    completes(server, folders)


def test_staged_files_of_an_artifact_that_are_gone_at_sync_and_come_back(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    # Where the log says, and in the copy, where they are found then.
    pattern = "experiment/*/wandb-data/artifacts/staging"
    staged = [folder for top in (written.results, tmp_path / "results") for folder in top.glob(pattern)]
    assert len(staged) >= 2
    away = tmp_path / "away"
    away.mkdir()
    for number, folder in enumerate(staged):
        shutil.move(folder, away / str(number))
    try:
        for outcome, folder in zip(sync(folders, QUICK), folders, strict=True):
            assert "the artifact model" in (outcome.problem or "")
            assert "nor on the disk any more" in (outcome.problem or "")
            assert markers(folder) == []
    finally:
        for number, folder in enumerate(staged):
            shutil.move(away / str(number), folder)
    completes(server, folders)


def test_a_mark_that_another_tool_left_is_not_believed(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    for folder in folders:
        log_of(folder).with_name(f"{log_of(folder).name}.synced").touch()
        # What `wandb sync` without a path would go by points to another run.
        (folder.wandb_folder / "latest-run").unlink(missing_ok=True)
        (folder.wandb_folder / "latest-run").symlink_to(folders[0].segments()[0])
    completes(server, folders)


# Operator


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WANDB_API_KEY": ""}, "found no key"),
        ({"WANDB_API_KEY": "ab" * 20}, "refused the key found in WANDB_API_KEY"),
        ({"WANDB_API_KEY": "short"}, "refused the key found in WANDB_API_KEY"),
        ({"WANDB_BASE_URL": "http://no-such-host.invalid"}, "could not be reached"),
        ({"WANDB_BASE_URL": "http://127.0.0.1:1"}, "could not be reached"),
    ],
    ids=["no_key", "wrong_key", "short_key", "dns_gone", "server_gone"],
)
def test_what_the_person_has_to_mend_is_said_at_once(variables, said, written, server, tmp_path, monkeypatch):
    folders = written.copied_to(tmp_path / "results")
    before = dict(os.environ)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    begun = time.monotonic()
    with pytest.raises(ServerError, match=said) as caught:
        sync(folders, QUICK)
    assert time.monotonic() - begun < 5
    assert "ab" * 20 not in str(caught.value)
    assert [receipt(folder) for folder in folders] == [None] * 3
    for name in variables:
        monkeypatch.setenv(name, before[name])
    completes(server, folders)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_stops_it_at_once_with_exit_code_1_and_its_source_is_named(
    status, written, server, tmp_path
):
    folders = written.copied_to(tmp_path / "results")
    server.faults({"match": "*", "status": status})
    process = sync_process(tmp_path / "results", options=("--log", str(tmp_path / "sync.log")))
    out, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"refused the key found in WANDB_API_KEY (HTTP {status})" in said
    assert server.key not in out + said + (tmp_path / "sync.log").read_text()
    assert server.requests()["total"] == 1, "no run is tried after that"
    assert [receipt(folder) for folder in folders] == [None] * 3
    server.faults()
    completes(server, folders)


@pytest.mark.parametrize("request_kind", ["graphql:UpsertBucket", "file_stream"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_read_and_not_write_is_said_with_its_source_and_what_waits_is_not_tried(
    status, request_kind, written, server, tmp_path, monkeypatch
):
    folders = written.copied_to(tmp_path / "results")
    monkeypatch.setattr("runferry.sync.engine.RUNS_PER_BATCH", 1)
    server.faults({"match": request_kind, "status": status})
    for outcome in sync(folders, within(0, 60)):
        assert f"refused the key found in WANDB_API_KEY (HTTP {status})" in (outcome.problem or "")
    asked = [each for each in server.requests()["requests"] if each["kind"] == request_kind]
    assert {each["run"] for each in asked} == {folders[0].path.name}
    server.faults()
    completes(server, folders)


def test_one_run_that_may_not_be_written_keeps_no_other_from_going_up(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    server.faults({"match": "graphql:UpsertBucket", "run": folders[0].path.name, "status": 403})
    outcomes = sync(folders, QUICK)
    assert "refused the key found in WANDB_API_KEY (HTTP 403)" in (outcomes[0].problem or "")
    assert [outcome.problem for outcome in outcomes[1:]] == [None, None]


def test_a_run_that_went_on_after_its_receipt_gets_only_what_is_new(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    completes(server, folders)
    for folder, python in zip(folders, written.pythons.values(), strict=True):
        write_run(python, folder, first=10, last=15, rich=False)
    for outcome, folder in zip(sync(folders, QUICK), folders, strict=True):
        assert outcome.problem is None
        # Steps that were there before are moved behind them, as wandb does.
        assert [row["_step"] for row in rows_of(server, folder)] == list(range(26))
        assert [row["loss"] for row in rows_of(server, folder)][-5:] == [1 / (step + 1) for step in range(10, 15)]
        assert len(receipt(folder)["segments"]) == 2


def test_a_run_that_was_synced_twice_by_hand_gets_no_receipt(written, server, tmp_path, newest_wandb):
    folder = written.copied_to(tmp_path / "results")[2]
    for _ in range(2):
        newest_wandb.sync(folder.segments()[0], include_synced=True)
    assert len(rows_of(server, folder)) == 2 * ROWS
    # A server that counts late shows the rows themselves.
    said = f"the server has {2 * ROWS} history lines, the disk {ROWS}|the server has rows after step {ROWS - 1}"
    assert re.search(said, sync([folder], QUICK)[0].problem or "")
    assert receipt(folder) is None


def test_a_row_that_is_doubled_and_one_that_is_missing_do_not_make_up_for_each_other(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    completes(server, folders)
    for folder in folders:
        # The same number of rows, the same last step, the same end: one row twice, its neighbour not at all.
        path = f"/files/demo/tests/{folder.path.name}/file_stream"
        line = json.dumps(rows_of(server, folder)[6])
        end = {"complete": True, "exitcode": 0}
        server.ask("POST", path, {"files": {"wandb-history.jsonl": {"offset": 7, "content": [line]}}, **end})
        folder.receipt_file.unlink()
        assert wrong(server, folder)
    completes(server, folders)


# wandb-osh: three ways in which it loses work


def test_wandb_osh_a_sync_that_times_out_is_taken_up_again(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    server.faults({**STREAM, "slow": 30})
    for outcome in sync(folders, within(0, 2)):
        assert "found it at work after" in (outcome.problem or "")
    server.faults()
    completes(server, folders)


def test_wandb_osh_a_trigger_during_a_sync_is_served(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    server.faults({**STREAM, "slow": 1.0, "count": 1})
    first = sync_process(folders[0].path)
    wait_for(lambda: server.rules()[0]["seen"])
    # While it runs, two more ask: one run that waits, and one for the run that is under way and has grown.
    write_run(written.pythons[next(iter(written.pythons))], folders[0], first=30, last=33, rich=False)
    others = [sync_process(folder.path) for folder in folders]
    for process in (first, *others):
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert [row["_step"] for row in rows_of(server, folders[0])] == [*range(ROWS), 30, 31, 32]
    assert len(receipt(folders[0])["segments"]) == 2
    for folder in folders[1:]:
        assert wrong(server, folder) == []


def test_wandb_osh_a_wandb_sync_that_returns_1_is_done_again(written, server, tmp_path, monkeypatch):
    folders = written.copied_to(tmp_path / "results")
    failing = tmp_path / "failing-python"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(failing))
        for outcome in sync(folders, QUICK):
            assert "the server has no such run" in (outcome.problem or "")
    assert [receipt(folder) for folder in folders] == [None] * 3
    completes(server, folders)


# Processes


def test_a_sync_that_was_killed_leaves_no_wandb_that_sends_beside_the_next(written, server, tmp_path):
    folders = written.copied_to(tmp_path / "results")
    server.faults({**STREAM, "slow": 3.0})
    process = sync_process(tmp_path / "results")
    wait_for(lambda: server.rules()[0]["seen"])
    process.kill()
    process.communicate()
    assert _processes_of(tmp_path), "wandb sync lives on"
    begun = server.requests()["total"]
    sync(folders, within(0, 0.5))
    assert _processes_of(tmp_path) == []
    assert server.requests()["total"] > begun
    server.faults()
    completes(server, folders)


def _processes_of(results: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RUNFERRY_SYNC_OF", "").startswith(str(results)):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["hang", "slow", "lose"])), min_size=1, max_size=2))
def test_killed_at_any_request_and_repeated_it_ends_with_every_row_once(kills, written, tmp_path_factory):
    results = tmp_path_factory.mktemp("killed") / "results"
    folders = written.copied_to(results)
    with running() as server:
        for request, how in kills:
            # The request is the last one that the killed process made: not answered, answered late, or not stored.
            server.faults({"match": "*", "after": request, "count": 1, how: 3.0 if how == "slow" else True})
            process = sync_process(results, **server.environment)
            wait_for(lambda: process.poll() is not None or server.rules()[0]["used"])  # noqa: B023
            process.kill()
            process.communicate()
            server.faults()
            for folder in folders:
                assert receipt(folder) is None or wrong(server, folder) == []
        done = sync_process(results, **server.environment)
        _, said = done.communicate(timeout=120)
        assert done.returncode == 0, said
        for folder in folders:
            assert wrong(server, folder) == []
            assert receipt(folder)
