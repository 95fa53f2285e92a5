"""A server that counts late, as W&B's does, and rows that are not what was sent: nothing is lost, nothing comes twice.

What was trained is known from the segments as they were written; what arrived, from the stand-in's own books.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.outcome import Limits
from runferry.sync.rename import rename
from runferry.system.files import write_json
from support.sync_processes import QUICK, sync_process
from support.written_runs import log_of, receipt, rows_of, write_run

if TYPE_CHECKING:
    from pathlib import Path

    from support.written_runs import Written

pytestmark = [pytest.mark.usefixtures("connected"), pytest.mark.slow, pytest.mark.timeout(600)]

LAG = 2.0
PATIENT = Limits(patience=20, deadline=60, settle=3)


@pytest.fixture(scope="module")
def requeued(wandb_python, tmp_path_factory, written: Written) -> Path:
    """Results with one run of each version that was requeued twice: 10 rows, 5 more, 10 more."""
    results = tmp_path_factory.mktemp("requeued") / "results"
    for version, python in written.pythons.items():
        folder = RunFolder(results / "experiment" / f"again-{version.replace('.', '-')}")
        for first, last in ((0, 10), (10, 15), (15, 25)):
            write_run(python, folder, last, first=first, rich=False)
    return results


@pytest.fixture(params=[0.0, LAG], ids=["at_once", "late"])
def lag(request, server) -> float:
    """How late the server counts, in seconds."""
    server.behave(lag=request.param)
    return request.param


@pytest.fixture
def folders(requeued, tmp_path) -> list[RunFolder]:
    """The requeued runs."""
    shutil.copytree(requeued, tmp_path / "results", symlinks=True)
    return [RunFolder(path) for path in sorted((tmp_path / "results" / "experiment").iterdir())]


def _limits(lag: float) -> Limits:
    return PATIENT if lag else QUICK


def _assert_whole(server, folders: list[RunFolder], rows: int = 25) -> None:
    for folder in folders:
        found = [(row["_step"], row["loss"]) for row in rows_of(server, folder)]
        assert found == [(step, 1 / (step + 1)) for step in range(rows)]
        held = server.run("demo", "tests", folder.path.name)
        assert held["state"] == "finished"
        assert held["summary"]["loss"] == 1 / rows


def _assert_verified(server, folders: list[RunFolder], limits: Limits, rows: int = 25) -> None:
    assert [outcome.problem for outcome in sync(folders, limits)] == [None] * len(folders)
    _assert_whole(server, folders, rows)


def test_the_segments_of_a_requeued_run_arrive_in_one_sync(folders, server, lag):
    _assert_verified(server, folders, _limits(lag))
    assert {receipt(folder)["rows"] for folder in folders} == {"all"}
    # The first segments of all in one process, then the second ones.
    assert server.requests()["counts"]["graphql:UpsertBucket"] < 4 * 3 * len(folders)


def test_a_sync_that_was_killed_is_repeated_at_once(folders, server, lag):
    results = folders[0].path.parent.parent
    for seconds in (2.0, 2.8, 4.0):
        process = sync_process(results)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    _assert_verified(server, folders, _limits(lag))


def test_rows_at_the_end_that_the_server_has_lost_are_sent_to_their_places(folders, server, lag):
    # The second segment, whose summary and state arrive.
    server.faults({"match": "file_stream", "containing": "wandb-history.jsonl", "lose_rows": 1, "after": len(folders)})
    for outcome in sync(folders, replace(_limits(lag), patience=1)):
        assert outcome.problem
    server.faults()
    _assert_verified(server, folders, _limits(lag))


def test_rows_that_the_server_has_all_lost_are_sent_to_their_places_too(folders, server):
    # It still knows the last step, behind which wandb would go on.
    server.faults({"match": "file_stream", "containing": "wandb-history.jsonl", "lose_rows": 1})
    for outcome in sync(folders, replace(QUICK, patience=1)):
        assert outcome.problem
    assert not any(rows_of(server, folder) for folder in folders)
    server.faults()
    _assert_verified(server, folders, QUICK)


@pytest.mark.parametrize("fault", ["lose_rows", "alter_rows", "double_rows"])
def test_rows_that_are_not_what_was_sent_are_sent_again_in_place(folders, server, lag, fault):
    server.faults({"match": "file_stream", "containing": "wandb-history.jsonl", fault: 0.2, "count": 2})
    _assert_verified(server, folders, _limits(lag))


def test_rows_that_the_server_never_keeps_as_they_were_are_no_receipt(folders, server):
    # All of them: where each is altered by chance, sending them again may heal the last one.
    server.faults({"match": "file_stream", "containing": "wandb-history.jsonl", "alter_rows": 1})
    for outcome, folder in zip(sync(folders, QUICK), folders, strict=True):
        assert "the server's row of step" in (outcome.problem or "")
        assert receipt(folder) is None


def test_somebody_else_who_writes_the_run_is_named_and_there_is_no_receipt(folders, server, lag):
    server.faults(
        {"match": "file_stream", "containing": "wandb-history.jsonl", "second_writer": {"rows": 3}, "count": 1},
    )
    outcomes = sync(folders, replace(_limits(lag), patience=10 if lag else 1))
    doubled = [folder for folder in folders if len(rows_of(server, folder)) > 25]
    for outcome, folder in zip(outcomes, folders, strict=True):
        if folder in doubled:
            assert "nobody else writes this run" in (outcome.problem or "")
            assert receipt(folder) is None
        else:
            assert outcome.problem is None
            _assert_whole(server, [folder])


def test_two_copies_of_a_results_folder_that_are_synced_at_once_give_no_wrong_receipt(folders, server, lag, tmp_path):
    copy = tmp_path / "copy" / "results"
    shutil.copytree(folders[0].path.parent.parent, copy, symlinks=True)
    # A moment apart, so that the one goes on where the other has just been.
    processes = [sync_process(folders[0].path.parent.parent, options=("--settle=3",))]
    time.sleep(1.5)
    processes.append(sync_process(copy, options=("--settle=3",)))
    for process in processes:
        process.communicate(timeout=300)
    for folder in folders:
        other = RunFolder(copy / "experiment" / folder.path.name)
        if receipt(folder) or receipt(other):
            _assert_whole(server, [folder])


def test_a_copied_segment_is_sent_once(folders, server):
    for folder in folders:
        original = folder.segments()[0]
        shutil.copytree(original, original.with_name(f"offline-run-20990101_000000-{folder.path.name}"), symlinks=True)
    _assert_verified(server, folders, QUICK)
    assert "a copy of" in json.dumps(receipt(folders[0])["unreadable"])


def test_a_segment_with_a_second_log_or_a_broken_header_is_no_receipt(folders, server):
    first, second, whole = folders
    log = log_of(first, 1)
    shutil.copy(log, log.with_name("run-other.wandb"))
    broken = log_of(second, 1)
    broken.write_bytes(b"????" + broken.read_bytes()[4:])
    outcomes = sync(folders, QUICK)
    for outcome, folder in zip(outcomes[:2], (first, second), strict=True):
        assert "is not read as a whole" in (outcome.problem or "")
        assert "--accept-missing" in (outcome.problem or "")
        assert receipt(folder) is None
    assert outcomes[2].problem is None
    _assert_whole(server, [whole])


def test_a_segment_that_an_attempt_names_and_that_is_gone_is_said(folders, server):
    folder = folders[0]
    names = [segment.name for segment in folder.segments()]
    for number, name in enumerate(names, 1):
        record = {"attempt": number, "outcome": "finished", "segments": [name]}
        write_json(folder.attempts_folder / f"{number}.json", record)
    shutil.rmtree(folder.segments()[1])
    problem = sync([folder], QUICK)[0].problem or ""
    assert f"the segment {names[1]} of attempt 2 is gone from this disk" in problem
    assert sync([folder], replace(QUICK, accept_missing=True))[0].problem is None
    assert names[1] in receipt(folder)["missing"][0]


def test_another_training_of_the_same_id_is_not_appended_to(folders, server, wandb_python, lag):
    _assert_verified(server, folders, _limits(lag))
    folder = folders[-1]
    shutil.rmtree(folder.path)
    write_run(wandb_python("0.31.0"), folder, 30, rich=False)
    problem = sync([folder], _limits(lag))[0].problem or ""
    assert "rows of another training" in problem
    assert "runferry rename" in problem
    _assert_whole(server, [folder])


def test_a_run_that_is_renamed_arrives_whole_under_its_new_id(folders, server, wandb_python, tmp_path):
    _assert_verified(server, folders, QUICK)
    folder = folders[-1]
    shutil.rmtree(folder.path)
    write_run(wandb_python("0.31.0"), folder, 30, rich=True)
    assert sync([folder], QUICK)[0].problem
    ((path, renamed),) = rename([folder], lambda _line: None).items()
    assert path == folder.path
    new = renamed[folder.path.name]
    assert sync([folder], QUICK)[0].problem is None
    assert receipt(folder)["url"].endswith(new)
    held = server.run("demo", "tests", new)
    assert [row["_step"] for row in held["history"]] == list(range(31))
    assert held["artifacts"][0]["state"] == "COMMITTED"
    _assert_whole(server, [folder])
    # Another attempt of it goes on there.
    write_run(wandb_python("0.31.0"), folder, 40, first=31, rich=False)
    assert sync([folder], QUICK)[0].problem is None
    assert [row["_step"] for row in server.run("demo", "tests", new)["history"]] == list(range(40))


def test_of_a_long_run_some_rows_are_read_back_and_the_receipt_says_so(wandb_python, server, tmp_path):
    folders = [RunFolder(tmp_path / "results" / "experiment" / name) for name in ("whole", "mended")]
    for folder in folders:
        write_run(wandb_python("0.31.0"), folder, 2100, rich=False)
    assert sync(folders[:1], QUICK)[0].problem is None
    assert receipt(folders[0])["rows"] == "sampled"
    server.faults({"match": "file_stream", "containing": '\\"_step\\":1000', "lose_rows": 0.5, "count": 1})
    assert sync(folders[1:], QUICK)[0].problem is None
    assert receipt(folders[1])["rows"] == "all"
    _assert_whole(server, folders, 2100)
    folders[0].receipt_file.unlink()
    assert sync(folders[:1], QUICK)[0].problem is None
    assert receipt(folders[0])["rows"] == "all", "what was there before is read back whole"


def test_a_run_that_the_server_refuses_keeps_no_other_from_its_receipt(folders, server):
    refused, *others = folders
    server.faults({"match": "graphql:UpsertBucket", "run": refused.path.name, "status": 400})
    first, *rest = sync(folders, QUICK)
    assert "the server has no such run" in (first.problem or "")
    assert [outcome.problem for outcome in rest] == [None] * len(others)
    # A part of it is there, and what it lacks is refused.
    server.faults({"match": "file_stream", "containing": "wandb-history.jsonl", "lose_rows": 1, "count": 1})
    sync([refused], replace(QUICK, deadline=5))
    for folder in others:
        folder.receipt_file.unlink()
    server.faults({"match": "file_stream", "run": refused.path.name, "status": 400})
    first, *rest = sync(folders, QUICK)
    assert receipt(refused) or first.problem
    assert [outcome.problem for outcome in rest] == [None] * len(others)
    server.faults()
    _assert_verified(server, [refused], QUICK)
