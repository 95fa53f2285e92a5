"""What an earlier version wrote is read: its runs, attempts, packs and receipts (see tests/data/README.md)."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from runferry.cli.main import main
from runferry.errors import LaunchError
from runferry.report.build import build_report
from runferry.runs.folder import RunFolder
from runferry.runs.pack import read_pack, settle_run
from runferry.runs.receipt_record import Receipt
from runferry.sync.receipts import has_receipt
from support.housekeeping import synced
from support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

EARLIER = ROOT / "tests" / "data" / "earlier_results"
SERVER = "http://127.0.0.1:8080"
FINISHED, IN_A_PACK, FAILED_TWICE = "ct17eh2fjihg", "gml7p5i9hkn4", "j7tg4mr8htu0"


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    shutil.copytree(EARLIER, tmp_path / "results")
    return tmp_path / "results" / "digits"


def test_status_report_and_receipts_read_it(experiment, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_BASE_URL", SERVER)
    assert main(["status", "--json", str(experiment)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["states"]["done"], status["states"]["failed"]) == (1, 2)
    assert [has_receipt(RunFolder(experiment / run)) for run in (FINISHED, IN_A_PACK, FAILED_TWICE)] == [True] * 3
    build_report(experiment)
    page = (experiment / "report.html").read_text()
    assert "exit code 3" in page
    assert f"{SERVER}/demo/digits/runs/{FINISHED}" in page


def test_a_pack_of_it_says_how_its_run_ended(experiment):
    assert list(read_pack(experiment / "packs" / "first").runs) == [IN_A_PACK]
    with pytest.raises(LaunchError, match="attempt 1 failed, exit code 4"):
        settle_run(RunFolder(experiment / IN_A_PACK))


@pytest.mark.usefixtures("connected")
def test_clean_verifies_it_and_keeps_what_its_receipt_says(experiment, server, capsys):
    run = RunFolder(experiment / FINISHED)
    earlier = run.receipt_file.read_text().replace(SERVER, server.url)
    run.receipt_file.unlink()
    synced([run])
    # What the server holds now is what the earlier version had verified.
    run.receipt_file.write_text(earlier)
    assert main(["clean", "--older-than", "0d", str(run.path)]) == 0
    assert "of 1 of 1 run" in capsys.readouterr().err
    now = json.loads(run.receipt_file.read_text())
    assert now["segments"][0].pop("cleaned")
    assert now == json.loads(earlier)
    assert Receipt.read(run.receipt_file).is_for(server.url)
    assert not run.segments()
