"""What the report collects of an experiment."""

from __future__ import annotations

import math
import os
import socket
from typing import TYPE_CHECKING

import pytest

from runferry.errors import ConfigError
from runferry.report.build import build_report
from runferry.report.data import read_experiment
from runferry.report.measurements import Measurements
from runferry.report.sampling import Curves
from runferry.runs.folder import RunFolder
from runferry.runs.state import state_of
from runferry.system.values import is_number
from support.report_pages import (
    Page,
    build,
    no_slurm,  # noqa: F401 - a fixture
    rows,
)
from support.sample_experiment import (
    segment,
    write,
    write_attempt,
    write_log_of,
    write_receipt,
    write_run,
    write_segments,
)

if TYPE_CHECKING:
    from pathlib import Path


DASH = "\N{EN DASH}"


def test_an_attempt_that_waits_is_under_way_and_one_whose_launcher_was_killed_here_is_not(tmp_path: Path) -> None:
    here = {"host": socket.gethostname(), "end": None, "seconds": None}
    for run, outcome, more in (
        ("waits", "waiting", {"pid": os.getpid(), **here}),
        ("takes", "taking over", {}),
        # No process has this number.
        ("killed", "running", {"pid": 2**22 + 1, **here}),
    ):
        write_run(tmp_path / "digits" / run, run, {})
        write_attempt(tmp_path / "digits" / run, 1, outcome, **more)
    expected = {"waits": "running", "takes": "running", "killed": "failed"}
    assert {run.name: run.state for run in read_experiment(tmp_path / "digits").runs} == expected
    assert {run: state_of(RunFolder(tmp_path / "digits" / run)) for run in expected} == expected


def test_a_run_that_has_not_started_is_there_too(page: Page) -> None:
    row = page.row("rate=0.5")
    assert (row["State"], row["accuracy"], row["Duration"], row["Attempts"]) == ("not started", DASH, DASH, "0")


def test_it_tells_how_many_runs_it_has_read(experiment: Path) -> None:
    told: list[tuple[int, int]] = []
    count = len(read_experiment(experiment, lambda *amounts: told.append(amounts)).runs)
    assert told == [(done, count) for done in range(1, count + 1)]


def test_the_report_can_be_built_again_with_more_in_it(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_segments([segment(run, "one", rows(4))])
    assert build(run.parent).curve("loss", 0)[0] == [0, 1, 2, 3]
    write_segments([segment(run, "one", rows(4, first=4))])
    assert build(run.parent).curve("loss", 0)[0] == list(range(8))


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([[0, 1, 2], [0, 1]], [0, 1, 2, 3, 4]),
        ([[15, 16, 17], [16, 17]], [15, 16, 17, 18, 19]),
        ([[0, 1], [10, 11]], [0, 1, 10, 11]),
        ([[0, 1], [], [0]], [0, 1, 2]),
        ([[5, 5, 6], [0], [0]], [5, 5, 6, 7, 8]),
    ],
    ids=["from 0", "overlapping", "apart", "an empty one between", "three"],
)
def test_steps_go_on_over_segments_as_the_server_numbers_them(segments: list[list[int]], expected: list[int]) -> None:
    collected = Curves()
    for steps in segments:
        columns = {"loss": (list(range(len(steps))), [1.0] * len(steps))} if steps else {}
        collected.add_segment(Measurements(steps=steps, columns=columns))
    assert {metric: curve.steps for metric, curve in collected.thinned(50).items()} == {"loss": expected}


def test_a_number_beyond_a_floats_range_is_none() -> None:
    assert [is_number(value) for value in (1, 1.5, math.nan, 10**400, True, "1", None)] == [
        *(True, True, True, False, False, False, False)
    ]


def test_a_receipt_that_lacks_a_segment_is_out_of_date(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_segments([segment(run, "one", rows(3))])
    write_receipt(run)
    assert build(run.parent).row("one")["Receipt"].startswith("verified")
    write_segments([segment(run, "one", rows(3))])
    page = build(run.parent)
    assert page.row("one")["Receipt"].startswith("out of date")
    assert "no receipt yet" in page.text


def test_a_failed_run_that_was_synced_has_its_receipt_too(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_segments([segment(run, "one", rows(3), exit_code=1)])
    write_attempt(run, 1, "failed")
    write_receipt(run)
    row = build(run.parent).row("one")
    assert row["State"].startswith("failed")
    assert row["Receipt"].startswith("verified")


def test_a_run_that_the_sweep_no_longer_has_is_marked(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    for run in ("aaaa", "bbbb"):
        write_run(folder / run, run, {})
    (folder / "runs.tsv").write_text("id\tname\nbbbb\tbbbb\n")
    page = build(folder)
    assert page.row("aaaa")["State"].endswith("no longer in the sweep")
    assert not page.row("bbbb")["State"].endswith("no longer in the sweep")
    assert "bbbb" in page.table[2][0]


def test_a_run_trained_without_the_launcher_is_read_from_its_segments(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_segments([segment(run, "by hand", rows(3), exit_code=4)])
    row = build(run.parent).row("by hand")
    assert (row["State"], row["Attempts"]) == ("failed exit code 4", "0")
    assert row["Duration"] != DASH


def test_what_is_broken_is_noted_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_segments([segment(run, "one", rows(40))])
    (log,) = run.glob("wandb/offline-run-*/run-*.wandb")
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    for name, text in {"20990101_000000-aaaa": "foreign", "20990101_000001-aaaa": ""}.items():
        (run / "wandb" / f"offline-run-{name}").mkdir()
        (run / "wandb" / f"offline-run-{name}" / "run-aaaa.wandb").write_text(text)
    (run / "wandb" / "offline-run-20990101_000002-aaaa").mkdir()
    (run / "run.json").write_text('{"name": ')
    write(run / "interim-receipt.json", ["not", "a", "mapping"])
    write(run / "attempts" / "1.json", {"outcome": "finished", "seconds": "long"})
    (run / "attempts" / "2.json").write_text("")
    (run / "attempts" / "notes.json").write_text("not an attempt")
    page = build(run.parent)
    assert 38 <= len(page.curve("loss", 0)[0]) <= 40
    for note in (
        "run.json: cannot be read",
        "expected a receipt, a JSON object",
        "2.json: cannot be read",
        "not a W&B transaction log",
        "found no run-*.wandb in it",
        "bytes unreadable in 1 place",
    ):
        assert note in page.text
    assert (page.row("one")["Attempts"], page.row("one")["Receipt"]) == ("2", "none yet")


def test_an_experiment_without_a_metric_says_so(tmp_path: Path) -> None:
    write_run(tmp_path / "digits" / "aaaa", "one", {"rate": 1})
    page = build(tmp_path / "digits")
    assert "No numeric metric has been logged yet." in page.text
    assert page.data["metrics"] == []


def test_a_folder_that_is_no_experiments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        build_report(tmp_path / "none")
    with pytest.raises(ConfigError, match="no run in it"):
        build_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_runs_of_one_name_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    for run in ("aaaa", "bbbb"):
        write_run(tmp_path / "digits" / run, "same", {})
    assert build(tmp_path / "digits").data["runs"] == ["same (aaaa)", "same (bbbb)"]


def test_curves_of_all_metrics_together_stay_within_what_a_page_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in ("aaaa", "bbbb"):
        write_log_of(tmp_path / "digits" / run, [{"loss": float(i == 77), "accuracy": i / 100} for i in range(100)])
    monkeypatch.setattr("runferry.report.data.POINTS_IN_ALL", 120)
    page = build(tmp_path / "digits")
    steps, values = page.curve("loss", 1)
    assert len(steps) <= 30
    assert values[steps.index(77)] == 1.0
    assert "so that no peak is lost" in page.text


def test_time_goes_on_over_segments_without_the_pauses_between(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_log_of(run, [{"loss": 1.0}] * 3, start=1772359200.0)
    write_log_of(run, [{"loss": 1.0}] * 3, start=1772369200.0)
    page = build(run.parent)
    assert page.data["clocks"] == [[[0, 1, 2, 3, 4, 5], [0.0, 1.0, 2.0, 2.0, 3.0, 4.0]]]


def test_what_wandb_measured_of_the_machine_is_drawn(tmp_path: Path) -> None:
    stats = [
        {"gpu.0.gpu": 20.0, "gpu.1.gpu": 40.0, "gpu.0.memoryAllocated": 50.0, "cpu": 5.0, "disk.vda.in": 1.0},
        {"gpu.0.gpu": 60.0, "gpu.1.gpu": 80.0, "gpu.0.memoryAllocated": 25.0, "cpu": 5.0, "disk.vda.in": 1.0},
    ]
    run = tmp_path / "digits" / "aaaa"
    write_log_of(run, [{"loss": 1.0}], stats)
    write_attempt(run, 1, "finished")
    page = build(run.parent)
    assert {
        each["name"]: (each["series"][0]["seconds"], each["series"][0]["values"]) for each in page.data["system"]
    } == {
        "GPU use (%)": ([0.0, 10.0], [30.0, 70.0]),
        "GPU memory (%)": ([0.0, 10.0], [50.0, 25.0]),
        "CPU use (%)": ([0.0, 10.0], [5.0, 5.0]),
    }
    assert [" ".join(cell.split()) for cell in page.tables["attempts-table"][1]][-3:-1] == ["50 %", "50 %"]
