"""Rows, summaries and console lines that are large: no request is too large, and what cannot arrive is named."""

from __future__ import annotations

import json

import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.wandb.file_stream import BYTES_PER_REQUEST, LINES_PER_REQUEST, fill, in_requests, send_console
from runferry.sync.wandb.local import read_disks
from runferry.trackers.wandb.login import find_server
from support import written_runs
from support.sync_processes import QUICK
from support.wandb_clients import VERSIONS
from support.written_runs import PROJECT, receipt, rows_of, write_run

pytestmark = pytest.mark.usefixtures("connected")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "results" / "experiment" / "large"
    path.mkdir(parents=True)
    return RunFolder(path)


def _write(script: str, folder, python, monkeypatch) -> None:
    monkeypatch.setattr(written_runs, "SCRIPT", f"import wandb\nrun = wandb.init()\n{script}\nrun.finish()\n")
    write_run(python, folder)


def test_requests_are_limited_by_lines_and_bytes():
    lines = ["x"] * 2500 + ["y" * (BYTES_PER_REQUEST + 1)] + ["é" * 1000] * 3000
    batches = list(in_requests(lines))
    assert [line for batch in batches for line in batch] == lines
    for batch in batches:
        assert len(batch) <= LINES_PER_REQUEST
        assert len(batch) == 1 or sum(len(line.encode()) for line in batch) <= BYTES_PER_REQUEST + 2000


@pytest.mark.parametrize("version", VERSIONS)
def test_a_row_that_wandb_leaves_out_is_named_with_its_size(version, folder, wandb_python, server, monkeypatch):
    script = "run.log({'a': 1})\nrun.log({'t': 'x' * 11_000_000})\nrun.log({'a': 3, 't': 'y'})"
    _write(script, folder, wandb_python(version), monkeypatch)
    assert sync([folder], QUICK)[0].problem is None
    assert [row["_step"] for row in rows_of(server, folder)] == [0, 2]
    (said,) = receipt(folder)["unreadable"].values()
    assert said.startswith("the row of step 1 has 11,000,")
    assert "W&B's client sends none over 10,383,360" in said
    # What is sent to its place counts as wandb does.
    (disk,) = read_disks(folder)
    fill(disk, find_server(None), ("demo", PROJECT), 0)
    assert [row["_step"] for row in rows_of(server, folder)] == [0, 2]
    folder.receipt_file.unlink()
    server.clear_requests()
    assert sync([folder], QUICK)[0].problem is None
    assert "file_stream" not in server.requests()["counts"]


def test_a_summary_that_wandb_does_not_send_is_named_in_a_short_line(folder, wandb_python, server, monkeypatch):
    _write("run.log({'a': 1})\nrun.summary['t'] = 'x' * 11_000_000", folder, wandb_python(VERSIONS[-1]), monkeypatch)
    problem = sync([folder], QUICK)[0].problem or ""
    assert "the summary has 11,000," in problem
    assert "W&B's client sends none over 10,383,360" in problem
    assert len(problem) < 400
    assert receipt(folder) is None


def test_rows_and_console_of_many_megabytes_go_in_requests_that_the_server_takes(
    folder, wandb_python, server, monkeypatch
):
    script = "for i in range(40): run.log({'t': 'x' * 700_000, 'i': i}); print('é' * 4000 + str(i), flush=True)"
    _write(script, folder, wandb_python(VERSIONS[-1]), monkeypatch)
    assert sync([folder], QUICK)[0].problem is None
    (disk,) = read_disks(folder)
    before = rows_of(server, folder)
    # The server refuses requests of more than 10 MiB, as W&B's does: 28 MB of rows.
    fill(disk, find_server(None), ("demo", PROJECT), 0)
    send_console(disk, find_server(None), ("demo", PROJECT))
    assert json.dumps([row["i"] for row in rows_of(server, folder)]) == json.dumps([row["i"] for row in before])
