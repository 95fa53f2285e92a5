"""`runferry status`: what it says of folders as the launcher, the sync and Slurm's commands leave them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runferry.cli.main import main
from runferry.report.status import segments
from runferry.report.status.text import Style
from support.sample_experiment import write, write_log_of
from support.shown_status import (
    ROWS,
    _no_slurm,  # noqa: F401 - a fixture
    run_of,
    shown,
    status,
    with_receipt,
)

if TYPE_CHECKING:
    pass


def test_runs_are_counted_by_the_states_of_the_plan(experiment: Path) -> None:
    run_of(experiment, "a", None)
    run_of(experiment, "b", "failed", reason="failed", message="ValueError: no data")
    run_of(experiment, "c", "finished")
    with_receipt(run_of(experiment, "d", "finished"))
    # Another machine's process cannot be looked at.
    run_of(experiment, "e", "running", host="elsewhere", pid=1)
    assert dict(status(experiment).states) == {"to do": 1, "failed": 1, "unsynced": 1, "done": 1, "running": 1}
    header, row = shown(experiment).splitlines()[:2]
    assert header.split() == ["runs", "to", "do", "running", "failed", "unsynced", "done"]
    assert row.split() == ["digits", "5", "1", "1", "1", "1", "1"]


def test_a_receipt_of_less_than_is_on_disk_is_no_done_run_and_its_new_rows_are_counted(experiment: Path) -> None:
    folder = run_of(experiment, "a", "finished")
    with_receipt(folder)
    write_log_of(folder, ROWS[:1], start=1772359300.0)
    found = status(experiment)
    assert dict(found.states) == {"unsynced": 1}
    assert [run.unsynced_rows for run in found.runs] == [1], "the receipt speaks of the other two"


def test_the_metric_of_the_sweep_is_shown_with_its_best_and_newest_value(experiment: Path) -> None:
    write(experiment / "sweep.json", {"metric": {"name": "accuracy", "goal": "maximize"}})
    good, newest = run_of(experiment, "good", "finished"), run_of(experiment, "new", "finished", ROWS[:1])
    old = time.time() - 100
    for log in good.glob("wandb/*/*.wandb"):
        os.utime(log, (old, old))
    assert "accuracy 0.5 (new), best 0.75 (good)" in shown(experiment)
    found = status(experiment).as_json()["experiments"][0]["metric"]
    assert found["newest"] == {"run": newest.name, "value": 0.5}
    assert found["best"] == {"run": good.name, "value": 0.75}
    assert "loss 1 (new)" in shown(experiment, metric="loss")
    assert "typo: none yet" in shown(experiment, metric="typo")


def test_metrics_that_are_no_numbers_are_none_and_nan_is_said(experiment: Path) -> None:
    write(experiment / "sweep.json", {"metric": {"name": "loss", "goal": "minimize"}})
    run_of(experiment, "a", "finished", [{"loss": "low"}])
    assert "loss: none yet" in shown(experiment)
    run_of(experiment, "b", "finished", [{"loss": float("nan")}])
    assert "loss nan (b)" in shown(experiment)
    assert '"NaN"' not in json.dumps(status(experiment).as_json(), allow_nan=False)


def test_a_failed_run_is_shown_with_the_last_lines_of_its_own_log_and_where_the_rest_is(experiment: Path) -> None:
    folder = run_of(experiment, "a", "failed", reason="failed", message="ValueError: no data")
    log = "runferry: attempt 1 of run a on n1\nearlier\nrunferry: attempt 2 of run a on n1\n10%\r20%\none\nwandb: bye\n"
    (folder / "train.log").write_text(f"{log}ValueError: no data\nrunferry: run a failed\n")
    text = shown(experiment)
    assert (
        f"failed: digits/a (lr=a): ValueError: no data\n    | 20%\n    | one\n    all of it: {folder}/train.log" in text
    )
    assert "earlier" not in text
    assert status(experiment).as_json()["failures"][0]["last_lines"] == ["20%", "one", "ValueError: no data"]


def test_the_last_failures_come_first_and_not_all_of_a_thousand(experiment: Path) -> None:
    for number in range(8):
        run_of(experiment, f"r{number}", "failed", reason="failed", end=f"2026-03-0{number + 1}T10:00:00+00:00")
    text = shown(experiment)
    assert text.index("digits/r7 ") < text.index("digits/r6 ")
    assert "digits/r2 " not in text
    assert "and 3 more failed" in text


def test_a_run_that_cannot_be_read_hides_no_other(experiment: Path) -> None:
    folder = run_of(experiment, "a", "finished")
    run_of(experiment, "b", "finished")
    (folder / "run.json").write_text("{")
    found = status(experiment)
    assert len(found.runs) == 2
    assert "expected JSON" in found.damaged[str(folder)]


def test_a_results_folder_of_somebody_else_can_be_looked_at(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(experiment, "a", "finished")

    def refused(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(segments, "write_json", refused)
    assert status(experiment).as_json()["unsynced_rows"] == 2


def test_json_says_the_same_and_a_typo_is_one_line(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(experiment, "a", "finished")
    assert main(["status", "--json", str(experiment.parent)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["states"]["unsynced"] == 1
    assert found["experiments"][0]["name"] == "digits"
    assert main(["status", str(experiment.parent / "digts")]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [(True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_whose_person_wants_them(
    terminal: bool, variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    class Stream:
        def isatty(self) -> bool:
            return terminal

    assert Style.of(Stream()).colours is coloured  # type: ignore[arg-type]
