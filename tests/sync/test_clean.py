"""`runferry clean`, `adopt` and `status` with segments that a real client wrote and the stand-in's books."""

from __future__ import annotations

import json
import os
import socket
from importlib.metadata import version as installed_version

import pytest

from runferry.cli.main import main
from runferry.runs.folder import RunFolder
from runferry.runs.receipt import holds
from runferry.sync.engine import sync
from runferry.sync.wandb.live import Watcher
from runferry.sync.wandb.live_run import LiveOptions
from runferry.system.files import read_json, write_json
from runferry.trackers.wandb.steps import first_free_step
from support.housekeeping import QUICK, synced
from support.written_runs import PROJECT, log_of, receipt, rows_of, write_run

NEWEST = installed_version("wandb")
pytestmark = pytest.mark.usefixtures("connected")


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
    assert first_free_step(run, run.read_run().id, []) == 21
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
