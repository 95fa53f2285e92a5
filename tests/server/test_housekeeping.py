"""`runferry clean`, `adopt` and `status` with segments that a real client wrote and the stand-in's books."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from importlib.metadata import version as installed_version

import pytest
from written_runs import PROJECT, log_of, receipt, rows_of, write_run, wrong

from runferry.cli.main import main
from runferry.runs.attempt import Attempt
from runferry.runs.folder import RunFolder
from runferry.runs.receipt import holds
from runferry.sync.adopt import adopt_segments
from runferry.sync.engine import sync
from runferry.sync.outcome import Limits
from runferry.sync.wandb.live import Watcher
from runferry.sync.wandb.live_run import LiveOptions
from runferry.system.files import read_json, write_json
from runferry.trackers.wandb.steps import first_free_step

NEWEST = installed_version("wandb")
QUICK = Limits(patience=2, deadline=60)
pytestmark = pytest.mark.usefixtures("connected")


@pytest.fixture
def runs(written, tmp_path) -> list[RunFolder]:
    return written.copied_to(tmp_path / "results")


def synced(runs):
    assert [outcome.problem for outcome in sync(runs, QUICK)] == [None] * len(runs)


def test_what_the_server_holds_is_deleted_and_the_run_stays_done(runs, server, tmp_path, capsys):
    synced(runs)
    old = runs[0].receipt_file.stat().st_mtime_ns
    assert main(["clean", "--older-than", "0d", "--dry-run", str(tmp_path / "results")]) == 0
    assert "would free" in capsys.readouterr().err
    assert all(run.segments() for run in runs)
    assert main(["clean", "--older-than", "0d", str(tmp_path / "results")]) == 0
    assert "of 3 of 3 runs" in capsys.readouterr().err
    assert not any(run.segments() for run in runs)
    assert runs[0].receipt_file.stat().st_mtime_ns == old
    server.clear_requests()
    synced(runs)
    assert server.requests()["total"] == 0
    assert all(holds(run, server.url) for run in runs)
    assert main(["status", "--json", str(tmp_path / "results")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["states"]["done"] == 3
    assert found["cleaned_segments"] == 3
    assert main(["clean", "--older-than", "0d", str(tmp_path / "results")]) == 0
    assert "of 0 of 3 runs" in capsys.readouterr().err


def clean(tmp_path, capsys) -> str:
    """Delete what may be deleted; what was said."""
    assert main(["clean", "--older-than", "0d", str(tmp_path / "results")]) == 0
    return capsys.readouterr().err


def ended(run: RunFolder, reason: str, **more: bool) -> None:
    """Let the run have had one attempt, which did not finish it."""
    run.trained_file.unlink(missing_ok=True)
    record = {"attempt": 1, "host": "node1", "job": "7", "pid": 1, "segments": [], "outcome": "failed"}
    write_json(run.attempts_folder / "1.json", record | {"reason": reason, **more})


def deleted_on_server(server, run: RunFolder) -> None:
    query = 'query($run: String!) { project(name: "tests", entityName: "demo") { run(name: $run) { id } } }'
    found = server.graphql(query, {"run": run.path.name})["data"]["project"]["run"]["id"]
    server.graphql("mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", {"id": found})


def test_a_receipt_that_is_deleted_after_a_clean_is_written_again_after_the_server_was_asked(
    runs, server, tmp_path, capsys
):
    synced(runs)
    before = [receipt(run) for run in runs]
    clean(tmp_path, capsys)
    for run in runs:
        run.receipt_file.unlink()
    server.clear_requests()
    synced(runs)
    assert "file_stream" not in server.requests()["counts"]
    for run, old in zip(runs, before, strict=True):
        assert len(rows_of(server, run)) == 21
        new = receipt(run)
        assert [new[key] for key in ("url", "disk", "server", "files", "artifacts")] == [
            old[key] for key in ("url", "disk", "server", "files", "artifacts")
        ]
        assert [segment["sha256"] for segment in new["segments"]] == [segment["sha256"] for segment in old["segments"]]
        assert holds(run, server.url)


@pytest.mark.parametrize("gone", ["the run", "a file"])
def test_what_the_server_has_lost_since_a_clean_gets_no_receipt_and_is_not_sent_as_an_empty_run(
    runs, server, tmp_path, capsys, gone
):
    run = runs[-1]
    synced([run])
    if gone == "a file":
        # What clean wrote down is what is asked for.
        clean(tmp_path, capsys)
        known = read_json(run.cleaned_file)
        write_json(run.cleaned_file, known | {"files": [*known["files"], "more.txt"]})
    else:
        clean(tmp_path, capsys)
        deleted_on_server(server, run)
    run.receipt_file.unlink()
    server.clear_requests()
    assert main(["sync", str(run.path)]) == 1
    said = capsys.readouterr().err
    assert "segments of it were deleted here on 20" in said
    assert ("the server has no such run" if gone == "the run" else "the file more.txt is not on the server") in said
    assert not {"file_stream", "graphql:UpsertBucket"} & server.requests()["counts"].keys()
    assert receipt(run) is None


@pytest.mark.parametrize(
    ("reason", "more", "deleted"),
    [
        ("failed", {}, True),
        ("killed", {}, True),
        ("out of memory", {}, True),
        ("time limit", {"given_up": True}, True),
        ("time limit", {}, False),
        ("node failure", {}, False),
        ("stopped", {}, False),
    ],
)
def test_of_a_run_that_is_not_trained_only_what_nobody_goes_on_with_is_deleted(
    runs, server, tmp_path, capsys, reason, more, deleted
):
    run = runs[-1]
    ended(run, reason, **more)
    assert [outcome.problem for outcome in sync([run], QUICK)] == [None]
    assert run.interim_receipt_file.exists()
    said = clean(tmp_path, capsys)
    assert bool(run.segments()) != deleted
    assert (f"not trained to its end ({reason}): it may be continued" in said) != deleted
    assert holds(run, server.url)


@pytest.mark.parametrize("watched", [False, True], ids=["synced at its end", "live"])
def test_a_run_that_goes_on_after_its_segments_were_deleted_is_continued_behind_them(
    written, runs, server, tmp_path, capsys, watched
):
    run = runs[-1]
    ended(run, "failed")
    assert [outcome.problem for outcome in sync([run], QUICK)] == [None]
    clean(tmp_path, capsys)
    assert first_free_step(Attempt(run, 2, {}, RunFolder.segments)) == 21
    write_run(written.pythons[NEWEST], run, first=21, last=25, rich=False)
    record = {"attempt": 2, "host": socket.gethostname(), "job": None, "pid": os.getpid(), "segments": []}
    if watched:
        run.trained_file.unlink()
        write_json(run.attempts_folder / "2.json", record | {"outcome": "running"})
        Watcher(lambda: [run], LiveOptions(interval=0.2), print).look()
        assert [row["_step"] for row in rows_of(server, run)] == list(range(25))
        write_json(run.trained_file, {})
    write_json(run.attempts_folder / "2.json", record | {"outcome": "finished"})
    synced([run])
    held = server.run("demo", PROJECT, run.path.name)
    assert [row["_step"] for row in held["history"]] == list(range(25))
    assert held["state"] == "finished"
    assert held["summary"]["loss"] == 1 / 25
    assert "page" in held["summary"], "the last value of what only the deleted segment logged"
    assert held["output"].count(held["output"][0]) == 1
    assert len(held["output"]) == 2
    assert len(receipt(run)["segments"]) == 2
    # And once more.
    clean(tmp_path, capsys)
    assert not run.segments()
    run.receipt_file.unlink()
    synced([run])
    assert receipt(run)["disk"]["history_lines"] == 25


def test_a_clean_that_was_killed_while_it_deleted_is_completed_by_the_next_one(
    runs, server, tmp_path, capsys, monkeypatch
):
    run = runs[-1]
    synced([run])
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_arguments, **_words: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(["clean", "--older-than", "0d", str(run.path)]) == 130
    assert run.segments()
    server.clear_requests()
    synced([run])
    assert server.requests()["total"] == 0
    run.receipt_file.unlink()
    synced([run])
    assert receipt(run)["disk"]["history_lines"] == 21
    clean(tmp_path, capsys)
    assert not run.segments()


@pytest.mark.parametrize("cause", ["young", "no receipt", "grown", "gone from the server", "not trained", "refused"])
def test_nothing_is_deleted_that_is_not_on_the_server_at_that_moment(runs, server, tmp_path, capsys, cause):
    run = runs[-1]
    synced([run])
    age = "0d"
    if cause == "young":
        age = "7d"
    elif cause == "no receipt":
        run.receipt_file.unlink()
    elif cause == "grown":
        with log_of(run).open("ab") as file:
            file.write(b"more")
    elif cause == "gone from the server":
        deleted_on_server(server, run)
    elif cause == "not trained":
        run.receipt_file.rename(run.interim_receipt_file)
        run.trained_file.unlink()
    else:
        server.faults({"match": "*", "status": 401})
    assert main(["clean", "--older-than", age, str(run.path)]) == (1 if cause == "refused" else 0)
    assert run.segments()
    assert log_of(run).exists()
    said = capsys.readouterr().err
    assert ("refused the key" if cause == "refused" else "kept: ") in said


def test_runs_made_without_runferry_are_taken_in_and_get_receipts(written, server, tmp_path, capsys):
    loop = tmp_path / "loop" / "wandb"
    loop.mkdir(parents=True)
    for run in RunFolder(written.results), *map(RunFolder, sorted((written.results / "experiment").iterdir())):
        for segment in run.segments():
            shutil.copytree(segment, loop / segment.name, symlinks=True)
    (loop / "offline-run-20200101_000000-empty").mkdir()
    (loop / "offline-run-20200101_000000-empty" / "run-empty.wandb").touch()
    results = tmp_path / "results"
    assert main(["adopt", str(tmp_path / "loop"), "--results", str(results), "--dry-run"]) == 1
    assert not results.exists()
    assert main(["adopt", str(tmp_path / "loop"), "--results", str(results)]) == 1
    said = capsys.readouterr().err
    assert "moved 3 of 4 segments" in said
    assert "no record in 0 bytes" in said
    assert [path.name for path in loop.iterdir()] == ["offline-run-20200101_000000-empty"]
    taken = [RunFolder(path) for path in sorted((results / "adopted").iterdir())]
    assert len(taken) == 3
    assert main(["sync", str(results)]) == 0
    for run in taken:
        assert receipt(run)["run"] == run.path.name
        assert wrong(server, run) == []
        assert len(rows_of(server, run)) == 21
    assert main(["adopt", str(tmp_path / "loop"), "--results", str(results)]) == 1, "again: nothing is there to move"


def test_segments_of_one_run_id_are_one_run_and_those_of_another_project_are_left(runs, tmp_path):
    first = runs[-1].segments()[0]
    later = first.with_name(first.name.replace("offline-run-2", "offline-run-3"))
    shutil.copytree(first, later, symlinks=True)
    done = adopt_segments([first, later], tmp_path / "other", "adopted")
    assert {each.folder.path for each in done if each.folder} == {tmp_path / "other" / "adopted" / runs[-1].path.name}
    folder = RunFolder(tmp_path / "other" / "adopted" / runs[-1].path.name)
    assert [path.name for path in folder.segments()] == [first.name, later.name]
    run = read_json(folder.run_file)
    assert run["wandb"]["project"] == PROJECT
    folder.run_file.write_text(json.dumps(run | {"wandb": {"project": "another", "entity": None}}))
    again = tmp_path / "again" / first.name
    shutil.copytree(folder.segments()[0], again, symlinks=True)
    [left] = adopt_segments([again], tmp_path / "other", "adopted")
    assert "is a run of another, this one of tests" in (left.left or "")
    assert again.exists()


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
    assert "in 5 days; type: runferry sync" in shown
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
    said = f"scratch is purged after 60 days: {log_of(runs[1])} at any time now; type: runferry sync"
    assert said in capsys.readouterr().err
    server.faults()
    assert main(command) == 0
    assert "purged" not in capsys.readouterr().err
