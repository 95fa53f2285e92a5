"""`runferry clean`, `adopt` and `status` with segments that a real client wrote and the stand-in's books."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest
from written_runs import PROJECT, log_of, receipt, rows_of, wrong

from runferry.adopt import adopt
from runferry.cli import main
from runferry.files import read_json
from runferry.receipt import holds
from runferry.run_folder import RunFolder
from runferry.sync import Limits, sync

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
        run_id = server.graphql(
            'query($run: String!) { project(name: "tests", entityName: "demo") { run(name: $run) { id } } }',
            {"run": run.path.name},
        )["data"]["project"]["run"]["id"]
        server.graphql("mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", {"id": run_id})
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
    done = adopt([first, later], tmp_path / "other", "adopted")
    assert {each.folder.path for each in done if each.folder} == {tmp_path / "other" / "adopted" / runs[-1].path.name}
    folder = RunFolder(tmp_path / "other" / "adopted" / runs[-1].path.name)
    assert [path.name for path in folder.segments()] == [first.name, later.name]
    run = read_json(folder.run_file)
    assert run["wandb"]["project"] == PROJECT
    folder.run_file.write_text(json.dumps(run | {"wandb": {"project": "another", "entity": None}}))
    again = tmp_path / "again" / first.name
    shutil.copytree(folder.segments()[0], again, symlinks=True)
    [left] = adopt([again], tmp_path / "other", "adopted")
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
