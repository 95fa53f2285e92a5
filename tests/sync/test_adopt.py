"""`runferry adopt` of segments that a real client wrote."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from runferry.cli.main import main
from runferry.runs.folder import RunFolder
from runferry.sync.adopt import adopt_segments
from runferry.system.files import read_json
from runferry.trackers.wandb.log.framing import write_log
from runferry.trackers.wandb.log.messages import message_class
from support.written_runs import PROJECT, receipt, rows_of, wrong

pytestmark = pytest.mark.usefixtures("connected")


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


@pytest.mark.parametrize("run_id", ["../../x", "{tmp}/x", "..", "a/b", "x\n", "x" * 200])
def test_a_run_id_that_leads_out_of_the_results_is_refused(run_id, tmp_path):
    run_id = run_id.format(tmp=tmp_path)
    segment = tmp_path / "loop" / "offline-run-20250101_000000-x"
    log = segment / "run-x.wandb"
    run = {"run": {"run_id": run_id, "project": "p"}}
    write_log(log, [message_class("Record")(**run).SerializeToString()])
    os.utime(log, (1, 1))
    before = sorted(tmp_path.rglob("*"))
    (adopted,) = adopt_segments([tmp_path / "loop"], tmp_path / "results", "adopted")
    assert adopted.folder is None
    assert adopted.left
    assert "expected one that can be a folder's name" in adopted.left
    assert "\n" not in adopted.left
    assert sorted(tmp_path.rglob("*")) == before
