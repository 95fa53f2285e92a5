"""`runferry sync` of segments that real clients of each supported version wrote."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.outcome import Limits
from runferry.system.files import write_json
from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from runferry.trackers.wandb.log.segment import history
from support.limits import within

LOG = """
import sys, wandb
first, last, exit_code = map(int, sys.argv[1:4])
run = wandb.init(config={"lr": 0.1})
for step in range(first, last):
    run.log({"loss": 1 / (step + 1), "é": step, "nested": {"a": step}}, step=step)
run.finish(exit_code)
"""
ODD_VALUES = """
import wandb
run = wandb.init()
run.log({"nan": float("nan"), "inf": float("inf"), "big": 2**53 + 1, "small": 1e-300, "text": "a\\nb 😀", "none": None})
run.log({"nan": 1.0, "flag": True, "list": [1, 2, 3]})
run.summary["best"] = {"loss": 0.1, "step": 3}
run.finish()
"""
QUICK = within(1, 60)


@pytest.fixture(autouse=True)
def connected(server, monkeypatch, tmp_path):
    """The process that syncs finds the stand-in and nothing of the person's who runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name, value in {**server.environment, "WANDB_ERROR_REPORTING": "false", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)


def _make_run(results: Path, run: str = "run1") -> RunFolder:
    folder = RunFolder(results / "experiment" / run)
    write_json(
        folder.run_file,
        {"id": run, "name": run, "wandb": {"project": "tests", "entity": None, "base_url": None}},
    )
    return folder


def _train(wandb, folder: RunFolder, first: int = 0, last: int = 20, exit_code: int = 0, code: str = LOG) -> None:
    wandb.run(
        code,
        str(first),
        str(last),
        str(exit_code),
        WANDB_MODE="offline",
        WANDB_DIR=str(folder.path),
        WANDB_RUN_ID=folder.path.name,
        WANDB_PROJECT="tests",
        WANDB_RESUME="allow",
    )


def _log_file(folder: RunFolder, number: int = 0) -> Path:
    return next(folder.segments()[number].glob("run-*.wandb"))


def _problem(folder: RunFolder, limits: Limits = QUICK) -> str | None:
    (outcome,) = sync([folder], limits)
    assert folder.receipt_file.exists() == (outcome.problem is None)
    return outcome.problem


def _rows(server, folder: RunFolder) -> list[dict]:
    return server.run("demo", "tests", folder.path.name)["history"]


def test_every_row_arrives_once(wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(wandb, folder)
    assert _problem(folder) is None
    held = server.run("demo", "tests", "run1")
    assert [row["loss"] for row in held["history"]] == [1 / (step + 1) for step in range(20)]
    assert held["state"] == "finished"
    receipt = json.loads(folder.receipt_file.read_text())
    assert receipt["disk"] == receipt["server"] == {"history_lines": 20, "last_step": 19, "state": "finished"}

    server.clear_requests()
    assert _problem(folder) is None
    assert server.requests()["total"] == 0, "a run with a receipt asks for nothing"
    folder.receipt_file.unlink()
    assert _problem(folder) is None
    assert "file_stream" not in server.requests()["counts"]
    assert len(_rows(server, folder)) == 20


def test_values_that_json_does_not_have_are_verified_too(wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(wandb, folder, code=ODD_VALUES)
    assert _problem(folder) is None
    first = next(history(folder.segments()[0]))
    assert math.isnan(first["nan"])
    assert server.run("demo", "tests", "run1")["summary"]["best"] == {"loss": 0.1, "step": 3}


def test_a_failed_run_is_synced_as_failed(wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(wandb, folder, exit_code=3)
    assert _problem(folder) is None
    assert server.run("demo", "tests", "run1")["state"] == "failed"


def test_a_second_attempt_is_appended_whether_the_first_was_synced_or_not(wandb, server, tmp_path):
    together, apart = _make_run(tmp_path, "together"), _make_run(tmp_path, "apart")
    for folder in (together, apart):
        _train(wandb, folder, 0, 10, exit_code=1)
    assert _problem(apart) is None
    for folder in (together, apart):
        _train(wandb, folder, 10, 25)
        assert _problem(folder) is None
        assert [row["_step"] for row in _rows(server, folder)] == list(range(25))
        assert server.run("demo", "tests", folder.path.name)["state"] == "finished"


def test_a_cut_off_segment_gives_its_readable_rows_and_keeps_none_behind(wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(wandb, folder, 0, 400, exit_code=1)
    file = _log_file(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 2 // 3])
    readable = sum(1 for _ in history(folder.segments()[0]))
    assert 0 < readable < 400
    _train(wandb, folder, 400, 410)
    assert _problem(folder) is None
    assert [row["_step"] for row in _rows(server, folder)] == [*range(readable), *range(400, 410)]
    assert file.read_bytes() == whole[: len(whole) * 2 // 3], "the original stays as it is"
    assert json.loads(folder.receipt_file.read_text())["segments"][0]["unreadable"]


def test_a_byte_that_flipped_costs_the_records_around_it_and_no_others(newest_wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(newest_wandb, folder, 0, 1000)
    file = _log_file(folder)
    whole, place, readable = file.read_bytes(), 0, list(range(1000))
    while len(readable) == 1000:
        # Not every record is a row of the history.
        place = whole.index(b"loss", place + len(whole) // 2 if not place else place + 1)
        file.write_bytes(whole[:place] + b"X" + whole[place + 1 :])
        readable = [row["_step"] for row in history(folder.segments()[0])]
    assert 900 < len(readable) < 1000
    assert "is not read as a whole" in (_problem(folder) or "")
    assert [row["_step"] for row in _rows(server, folder)] == readable


@pytest.mark.parametrize("content", [b"", b":W&B\xe1\xbe\x00", b"something else"])
def test_an_unreadable_segment_keeps_no_other_from_going_up(newest_wandb, server, tmp_path, content):
    good, bad = _make_run(tmp_path, "good"), _make_run(tmp_path, "bad")
    _train(newest_wandb, good)
    _train(newest_wandb, bad)
    _log_file(bad).write_bytes(content)
    outcomes = sync([bad, good], QUICK)
    assert outcomes[0].problem
    assert not bad.receipt_file.exists()
    assert outcomes[1].problem is None
    assert len(_rows(server, good)) == 20


def test_what_another_sync_left_half_done_is_completed_and_not_doubled(wandb, newest_wandb, server, tmp_path):
    folder, half = _make_run(tmp_path / "whole"), _make_run(tmp_path / "half")
    _train(wandb, folder, 0, 300)
    # What a sync that was stopped in the middle has brought: the first rows.
    copy = half.wandb_folder / folder.segments()[0].name
    log = _log_file(folder)
    records = list(TransactionLog(log))
    write_log(copy / log.name, records[: len(records) // 2])
    newest_wandb.sync(copy)
    there = len(_rows(server, folder))
    assert 0 < there < 300
    assert _problem(folder) is None
    assert [row["_step"] for row in _rows(server, folder)] == list(range(300))
    assert server.run("demo", "tests", "run1")["state"] == "finished"


def test_rows_that_the_server_lost_in_the_middle_are_sent_to_their_places(newest_wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(newest_wandb, folder, 0, 30)
    server.faults({"match": "file_stream", "containing": '\\"_step\\":10', "lose_rows": 0.5, "count": 1})
    newest_wandb.sync(folder.segments()[0])
    assert 0 < len(_rows(server, folder)) < 30
    assert _problem(folder) is None
    assert [row["_step"] for row in _rows(server, folder)] == list(range(30))
    assert [row["loss"] for row in _rows(server, folder)] == [1 / (step + 1) for step in range(30)]


def test_a_run_whose_end_did_not_arrive_is_ended_without_its_rows_again(newest_wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(newest_wandb, folder)
    server.faults({"match": "file_stream", "containing": '"complete":true', "lose": True})
    assert "the server says" in (_problem(folder) or "")
    server.faults()
    assert _problem(folder) is None
    assert len(_rows(server, folder)) == 20
    assert server.run("demo", "tests", "run1")["state"] == "finished"


def test_rows_that_came_from_elsewhere_are_said_and_left(newest_wandb, server, tmp_path):
    folder, other = _make_run(tmp_path / "here"), _make_run(tmp_path / "there")
    _train(newest_wandb, folder, 0, 10)
    _train(newest_wandb, other, 0, 15)
    assert _problem(other) is None
    server.clear_requests()
    problem = _problem(folder) or ""
    assert "the server has 15 history lines, the disk 10" in problem
    assert "rows of another training" in problem
    assert "file_stream" not in server.requests()["counts"]


def test_a_server_that_never_answers_is_left_in_time_and_no_process_stays(newest_wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(newest_wandb, folder)
    server.faults({"match": "file_stream", "hang": True})
    problem = _problem(folder, within(0, 4))
    assert "found it at work after 4 s" in (problem or "")
    marker = f"WANDB_BASE_URL={server.url}"
    left = [process for process in psutil.process_iter() if _is_core_of(process, marker)]
    assert left == []
    server.faults()
    assert _problem(folder) is None
    assert len(_rows(server, folder)) == 20


def _is_core_of(process: psutil.Process, marker: str) -> bool:
    try:
        return "wandb-core" in process.name() and marker in Path(f"/proc/{process.pid}/environ").read_text()
    except (psutil.Error, OSError):
        return False


def test_a_run_that_is_still_training_waits(newest_wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(newest_wandb, folder)
    attempt = {"attempt": 1, "host": os.uname().nodename, "pid": os.getpid(), "start": "now", "outcome": "running"}
    write_json(folder.attempts_folder / "1.json", attempt)
    assert "still training (attempt 1" in (_problem(folder) or "")
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    # Its launcher was killed before it could write the end: nobody holds the segment any more.
    write_json(folder.attempts_folder / "1.json", {**attempt, "pid": ended.pid})
    assert _problem(folder) is None


def test_a_run_without_a_segment_says_why(tmp_path):
    folder = _make_run(tmp_path)
    assert "the run has not been started" in (_problem(folder) or "")
    write_json(folder.attempts_folder / "1.json", {"attempt": 1, "outcome": "finished"})
    assert "never called wandb.init" in (_problem(folder) or "")


def test_two_syncs_at_once_send_everything_once(newest_wandb, server, tmp_path):
    folders = [_make_run(tmp_path, f"run{number}") for number in range(3)]
    for folder in folders:
        _train(newest_wandb, folder)
    command = [sys.executable, "-m", "runferry", "sync", str(tmp_path / "experiment")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "3 of 3 runs verified" in said
    for folder in folders:
        assert len(_rows(server, folder)) == 20


def test_ctrl_c_ends_the_sync_and_its_wandb_and_the_next_one_completes(newest_wandb, server, tmp_path):
    folder = _make_run(tmp_path)
    _train(newest_wandb, folder)
    server.faults({"match": "file_stream", "hang": True})
    command = [sys.executable, "-m", "runferry", "sync", str(folder.path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not server.rules()[0]["used"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"for the rest type: runferry sync {folder.path}" in said
    assert "Traceback" not in said
    marker = f"WANDB_BASE_URL={server.url}"
    assert [process for process in psutil.process_iter() if _is_core_of(process, marker)] == []
    server.faults()
    assert _problem(folder) is None
    assert len(_rows(server, folder)) == 20
