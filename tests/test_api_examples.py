"""The Python API, by the examples that a reader starts from, against the stand-in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runferry import api
from support.paths import ROOT

if TYPE_CHECKING:
    from runferry_standin import StandIn

EXAMPLES = ROOT / "examples" / "library"
PROJECT = ("demo", "library-example")

pytestmark = pytest.mark.usefixtures("connected")


@pytest.fixture
def example(tmp_path, monkeypatch) -> Path:
    """A copy of the examples, in which they are called as a person calls them."""
    folder = tmp_path / "library"
    shutil.copytree(EXAMPLES, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    return folder


def _run(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _assert_on_server(server: StandIn, runs: list[api.Run], rows: int = 20) -> None:
    assert set(server.runs(*PROJECT)) == {run.id for run in runs}
    for run in runs:
        held = server.run(*PROJECT, run.id)
        assert held["state"] == "finished"
        assert held["display_name"] == run.name
        assert [row["loss"] for row in held["history"]] == [row["loss"] for row in run.history()]
        assert run.receipt
        assert (run.receipt.history_lines, run.receipt.holds) == (rows, True)


@pytest.mark.slow
def test_a_plain_script_trains_syncs_and_reads_and_started_again_it_does_none_of_it_twice(example, server):
    first = _run("plain_script.py")
    assert "best: rate-0.2, learning rate 0.2" in first
    runs = api.find_runs()
    assert [run.name for run in runs] == ["rate-0.03", "rate-0.1", "rate-0.2"]
    _assert_on_server(server, runs)
    receipts = [run.receipt for run in runs]
    again = _run("plain_script.py")
    assert "sending" in first
    assert "sending" not in again
    assert [run.receipt for run in runs] == receipts
    assert [len(run.attempts) for run in runs] == [1, 1, 1]


@pytest.mark.slow
def test_submitits_jobs_train_and_the_program_that_submitted_them_syncs(example, server):
    said = _run("submit_with_submitit.py", "--cluster", "local")
    assert said.count("20 rows at http://127.0.0.1:") == 3
    runs = api.find_runs("results/line")
    _assert_on_server(server, runs)
    # Each in a process of submitit's, with submitit's own files about it.
    assert len({run.attempts[0]["pid"] for run in runs}) == 3
    assert len(list(example.glob("submitit_logs/*/*_result.pkl"))) == 3


@pytest.mark.slow
def test_a_hydra_multiruns_offline_runs_get_receipts_when_it_has_ended(example, server):
    said = _run("hydra_app.py", "--multirun", "learning_rate=0.03,0.1")
    assert said.count("20 rows at http://127.0.0.1:") == 2
    runs = api.find_runs("results/hydra")
    _assert_on_server(server, runs)
    assert {run.name for run in runs} == {"learning_rate=0.03", "learning_rate=0.1"}
    assert list(example.glob("multirun/**/offline-run-*")) == []


def test_what_a_run_and_its_receipt_say(example, server):
    run = api.create_run("results/line/a", ["python", "train.py", "--steps=3"], project="library-example", tags=["t"])
    assert api.launch(run) == 0
    (segment,) = run.segments()
    assert (segment.history_count, segment.exit_code, segment.run_id) == (3, 0, run.id)
    assert [row["_step"] for row in run.history()] == [0, 1, 2]
    assert run.attempts[0]["outcome"] == "finished"
    assert run.receipt is None
    (synced,) = api.sync(run)
    receipt = synced.receipt
    assert receipt
    assert receipt == run.receipt
    assert receipt.url == f"{server.url}/demo/library-example/runs/{run.id}"
    assert (receipt.state, receipt.last_step, receipt.missing, dict(receipt.unreadable)) == ("finished", 2, (), {})
    assert receipt.segments == (segment.name,)
    assert receipt.verified.tzinfo
    # One more segment, of which the receipt does not speak.
    shutil.copytree(segment.folder, segment.folder.with_name("offline-run-29990101_000000-x"), symlinks=True)
    assert run.receipt
    assert not run.receipt.holds


def test_a_sync_says_of_each_run_why_it_has_no_receipt(example, server):
    made = [api.create_run(f"results/line/{name}", ["python", "train.py"]) for name in ("a", "b")]
    done = api.sync("results")
    assert [synced.run for synced in done] == made
    for synced in done:
        assert synced.receipt is None
        assert synced.problem
    assert server.runs("demo", "uncategorized") == []


def test_a_failed_run_has_a_receipt_too(example, server):
    failing = ["python", "-c", "import wandb; run = wandb.init(); run.log({'loss': 1}); raise SystemExit(4)"]
    run = api.create_run("results/line/a", failing, project="library-example")
    assert api.launch(run) == 4
    (synced,) = api.sync([run.path])
    assert synced.receipt
    assert (run.state, synced.receipt.state, synced.receipt.history_lines) == ("failed", "failed", 1)
