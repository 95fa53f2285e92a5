"""What the executor says while jobs last, and the syncs of runs that have finished in a pack which has not."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from runferry.runs.folder import RunFolder
from runferry.system.files import write_json
from runferry.workflow.training_job import TrainingJob
from snakemake_executor_plugin_runferry import early_receipts, progress
from snakemake_executor_plugin_runferry.early_receipts import EarlyReceipts, wanted_receipts
from snakemake_executor_plugin_runferry.progress import Progress, status_command
from snakemake_executor_plugin_runferry.run_files import FAILED, QUEUED, RUNNING, TRAINED, RunFiles


@pytest.fixture
def clock(monkeypatch):
    """Give a clock that goes on when it is told to."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def _show(shown: Progress, **counts: int) -> None:
    if shown.is_due:
        shown.show(Counter(counts), [Path("results")])


def test_a_line_is_said_where_something_has_changed_and_once_a_minute_at_most(clock, capsys, monkeypatch):
    monkeypatch.setenv("PWD", str(Path.cwd()))
    shown = Progress([])
    _show(shown, queued=1)
    clock(progress.FIRST_SECONDS)
    _show(shown, queued=1200, running=1)
    # Too soon, and then gone.
    clock(59)
    _show(shown, queued=1199, running=2)
    clock(1)
    _show(shown, queued=1200, running=1)
    clock(600)
    _show(shown, queued=1200, running=1)
    _show(shown, running=3, trained=1196, failed=2)
    assert capsys.readouterr().err.splitlines() == [
        "runferry: 1,201 runs: 1,200 queued, 1 running; for more, run: runferry status",
        "runferry: 1,201 runs: 3 running, 1,196 trained, 2 failed",
    ]


@pytest.mark.parametrize("quiet", [["ALL"], ["PROGRESS", "RULES"]])
def test_nothing_is_said_under_quiet(clock, capsys, quiet):
    shown = Progress(quiet)
    _show(shown, queued=1)
    clock(600)
    _show(shown, running=1)
    shown.tell("1 run: synced")
    assert capsys.readouterr().err == ""


def test_runferry_status_is_named_with_the_folders_that_it_needs_where_snakemake_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    assert status_command([Path("results"), Path("results")]) == "runferry status"
    assert status_command([Path("other one"), Path("results")]) == "runferry status 'other one' results"
    monkeypatch.setenv("PWD", "/")
    assert status_command([Path("results")]) == f"runferry status {tmp_path}/results"


def _run(folder: Path, **record) -> RunFolder:
    if record:
        write_json(folder / "attempts" / "1.json", {"attempt": 1, "job": "7", "outcome": "running"} | record)
    return RunFolder(folder)


@pytest.mark.parametrize(
    ("record", "state", "afterwards"),
    [
        ({}, QUEUED, QUEUED),
        ({"outcome": "running"}, RUNNING, RUNNING),
        ({"outcome": "running", "job": "6"}, QUEUED, RUNNING),
        ({"outcome": "finished"}, TRAINED, TRAINED),
        ({"outcome": "finished", "job": "6"}, QUEUED, TRAINED),
        ({"outcome": "failed", "reason": "failed"}, FAILED, FAILED),
        ({"outcome": "failed", "reason": "failed", "job": "6"}, QUEUED, FAILED),
        ({"outcome": "stopped", "reason": "time limit"}, QUEUED, QUEUED),
        ({"outcome": "stopped", "reason": "time limit", "given_up": True}, FAILED, FAILED),
    ],
)
def test_a_runs_own_records_say_what_it_is_doing(tmp_path, record, state, afterwards):
    run, files = _run(tmp_path / "run1", **record), RunFiles()
    files.look("7", TrainingJob(run.trained_file, (run,), 1, ("launch",)))
    assert (files.state(run, "7"), files.state(run, None)) == (state, afterwards)


def test_a_run_that_finished_in_an_earlier_job_of_its_pack_is_trained(tmp_path):
    run, files = _run(tmp_path / "run1", outcome="finished", job="6"), RunFiles()
    write_json(run.finished_file, {})
    files.look("7", TrainingJob(run.trained_file, (run, _run(tmp_path / "run2")), 1, ("launch-pack",)))
    assert files.state(run, "7") == TRAINED


def test_finished_runs_are_synced_together_once_and_only_where_receipts_are_wanted(tmp_path, monkeypatch):
    said: list[str] = []
    runs = [_run(tmp_path / "results" / "a" / name) for name in ("run1", "run2", "run3")]
    for run in runs:
        write_json(run.finished_file, {})
    calls = tmp_path / "calls"
    # In place of runferry: it writes down what it was called with, and fails the second time.
    script = f"import sys, pathlib; file = pathlib.Path({str(calls)!r}); again = file.exists()\n"
    script += "with file.open('a') as stream: print(*sys.argv[1:], file=stream)\nsys.exit(again)"
    (tmp_path / "runferry.py").write_text(script)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    receipts = EarlyReceipts(0.2, said.append)
    wanted = {run.path for run in runs[:2]}

    def look(*finished: RunFolder) -> None:
        receipts.look(finished, lambda: wanted)

    def wait_for(lines: int) -> None:
        deadline = time.monotonic() + 20
        while len(said) < lines and time.monotonic() < deadline:
            look()
            time.sleep(0.05)

    look(runs[0], runs[2])
    time.sleep(0.25)
    look(runs[0], runs[2])
    wait_for(1)
    look(*runs)
    time.sleep(0.25)
    look(*runs)
    wait_for(2)
    look(*runs)
    log = tmp_path / "results" / ".sync" / "early-receipts.log"
    assert calls.read_text().splitlines() == [f"sync --log {log} {run.path}" for run in runs[:2]]
    assert said == [
        "1 run of packs that still train: synced and verified",
        f"1 run of packs that still train: not all are verified ({log}); tried again when the packs have ended",
    ]


def test_receipts_are_wanted_of_runs_whose_rule_sync_is_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = [SimpleNamespace(output=[f"results/a/{name}"]) for name in ("run1/receipt.json", "run2/trained.json")]
    dag = SimpleNamespace(needrun_jobs=lambda *, exclude_finished: iter(jobs))
    assert wanted_receipts(dag) == {tmp_path / "results" / "a" / "run1"}


def test_a_machine_that_starts_no_process_leaves_the_sync_to_the_rule(tmp_path, monkeypatch):
    run = _run(tmp_path / "run1")
    write_json(run.finished_file, {})
    monkeypatch.setattr(early_receipts.sys, "executable", str(tmp_path / "none"))
    EarlyReceipts(0, pytest.fail).look([run], lambda: {run.path})
    assert sys.executable == str(tmp_path / "none")
