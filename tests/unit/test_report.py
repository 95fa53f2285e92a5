from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runferry.errors import ConfigError
from runferry.report.build import build_report
from runferry.report.colours import choose_colours
from runferry.report.data import POINTS_PER_CURVE, read_experiment
from runferry.report.measurements import Measurements, read_measurements
from runferry.report.model import Curve, ExperimentReport, RunReport, thin
from runferry.report.sampling import Curves, counts_up
from runferry.system.values import is_number
from sample_experiment import (
    segment,
    write,
    write_attempt,
    write_log_of,
    write_receipt,
    write_run,
    write_segments,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DASH = "\N{EN DASH}"
EVIL = """</script><script>hacked()</script>"'<b>&amp; é"""


@pytest.fixture(scope="module", autouse=True)
def no_slurm() -> Iterator[None]:
    """Ask no Slurm that may be up on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runferry.runs.slurm.ask", lambda *command: None)
        yield


def rows(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [{"loss": 1 / (i + 1), "accuracy": i / 100} for i in range(first, first + count)]


class Page(HTMLParser):
    """What a browser makes of the page: cells of the table, elements with their attributes, contents of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.table: list[list[str]] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)
        self.table = self.tables["runs-table"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"script", "style", "td", "th"}:
            self._inside.append(tag)
        if tag == "script":
            self.scripts.append("")
        elif tag == "table":
            self.tables[str(dict(attrs).get("id"))] = self.table = []
        elif tag == "tr":
            self.table.append([])
        elif tag in {"td", "th"}:
            self.table[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        inside = self._inside[-1] if self._inside else ""
        if inside == "script":
            self.scripts[-1] += data
        elif inside != "style":
            self.text += data
            if inside:
                self.table[-1][-1] += data

    @property
    def header(self) -> list[str]:
        """The names of the columns, left to right."""
        upper, lower = (["".join(cell.split()) for cell in row] for row in self.table[:2])
        outer = [name for name in upper if name not in {"Parameters", "Lastvalues"}]
        return [*outer[:2], *lower, *outer[2:]]

    def row(self, name: str) -> dict[str, str]:
        """The row of a run, by column."""
        (found,) = [row for row in self.table[2:] if name in row[0]]
        return {column: " ".join(cell.split()) for column, cell in zip(self.header, found, strict=True)}

    @property
    def data(self) -> dict[str, Any]:
        """What the curves are drawn from."""
        return json.loads(self.scripts[0])

    def curve(self, metric: str, run: int) -> tuple[list[int], list[float | None]]:
        """The steps and values of a run's curve."""
        (chart,) = [chart for chart in self.data["metrics"] if chart["name"] == metric]
        (series,) = [series for series in chart["series"] if series["run"] == run]
        return series["steps"], series["values"]


def build(folder: Path) -> Page:
    return Page(build_report(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five runs: finished and verified, failed, killed and resumed, running, not started."""
    folder = tmp_path_factory.mktemp("results") / "digits"
    names = {"aaaa": 0.1, "bbbb": 0.2, "cccc": 0.3, "dddd": 0.4, "eeee": 0.5}
    config = {"epochs": 20, "seed": 7}
    for run, rate in names.items():
        write_run(folder / run, f"rate={rate}", {"rate": rate, "epochs": 20})
    write_segments(
        [
            segment(folder / "aaaa", "rate=0.1", rows(20), config=config),
            segment(folder / "bbbb", "rate=0.2", rows(5), config=config, exit_code=3),
            segment(folder / "cccc", "rate=0.3", rows(10), config=config, exit_code=255),
            segment(folder / "dddd", "rate=0.4", rows(3), config=config),
        ]
    )
    write_attempt(folder / "aaaa", 1, "finished", seconds=59.6)
    write_receipt(folder / "aaaa")
    write_attempt(folder / "bbbb", 1, "failed", exit_code=3, message="no module named torch: add it")
    write_attempt(folder / "cccc", 1, "killed", exit_code=None, signal="SIGKILL", seconds=4000.0)
    write_attempt(folder / "dddd", 1, "running")
    (folder / "runs.tsv").write_text("id\tname\trate\n" + "".join(f"{run}\tx\t0\n" for run in reversed(names)))
    return folder


@pytest.fixture(scope="module")
def page(experiment: Path) -> Page:
    return build(experiment)


def test_the_report_lies_in_the_experiments_folder(experiment: Path, page: Page) -> None:
    assert build_report(experiment) == experiment / "report.html"
    assert not [file for file in experiment.iterdir() if file.name.startswith(".")]


def test_the_page_asks_nothing_of_the_network(page: Page) -> None:
    links = [attributes.get("href") for tag, attributes in page.elements if tag == "a"]
    assert [link for link in links if link and not link.startswith("#")] == [
        "https://wandb.example/lab/digits/runs/aaaa",
        *(f"{run}/train.log" for run in ("dddd", "cccc", "bbbb", "aaaa")),
    ]
    for tag, attributes in page.elements:
        assert tag not in {"img", "iframe", "object", "embed", "base"}
        assert "src" not in attributes
        if tag == "link":
            assert attributes == {"rel": "icon", "href": "data:,"}
    (policy,) = [attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy


def test_the_head_says_what_it_is_about_and_how_it_stands(page: Page) -> None:
    assert "5 runs: 1 finished, 1 running, 2 failed, 1 not started; receipts for 1 of 5." in page.text
    assert "W&B project lab/digits" in page.text
    assert re.search(r"as of \d+ \w+ \d{4}, \d\d:\d\d UTC", " ".join(page.text.split()))


def test_the_table_has_a_row_for_every_run_in_the_order_of_the_sweep(page: Page) -> None:
    assert [row[0].split()[0] for row in page.table[2:]] == [f"rate={rate}" for rate in (0.5, 0.4, 0.3, 0.2, 0.1)]
    assert page.header == [*("Run", "State", "rate", "accuracy", "loss", "Duration", "Attempts", "Server", "Receipt")]


def test_a_verified_run_has_its_link_and_receipt(page: Page) -> None:
    assert page.row("rate=0.1") == {
        "Run": "rate=0.1 aaaa",
        "State": "finished",
        "rate": "0.1",
        "accuracy": "0.1900",
        "loss": "0.0500",
        "Duration": "1 min 00 s",
        "Attempts": "1",
        "Server": "open",
        "Receipt": "verified1 Mar 2026, 11:30",
    }


def test_a_failed_run_says_how_it_ended_and_why(page: Page) -> None:
    row = page.row("rate=0.2")
    assert (row["State"], row["Server"], row["Receipt"]) == ("failed exit code 3", DASH, "none yet")
    assert "no module named torch: add it" in page.text


def test_a_killed_run_names_the_signal(page: Page) -> None:
    row = page.row("rate=0.3")
    assert (row["State"], row["Duration"]) == ("failed SIGKILL", "1 h 06 min")


def test_a_running_run_is_shown_with_what_it_has_so_far(page: Page) -> None:
    row = page.row("rate=0.4")
    assert (row["State"], row["accuracy"]) == ("running", "0.0200")
    assert "h" in row["Duration"]


def test_a_run_that_has_not_started_is_there_too(page: Page) -> None:
    row = page.row("rate=0.5")
    assert (row["State"], row["accuracy"], row["Duration"], row["Attempts"]) == ("not started", DASH, DASH, "0")


def test_it_tells_how_many_runs_it_has_read(experiment: Path) -> None:
    told: list[tuple[int, int]] = []
    count = len(read_experiment(experiment, lambda *amounts: told.append(amounts)).runs)
    assert told == [(done, count) for done in range(1, count + 1)]


def test_what_all_runs_share_stands_apart_from_what_tells_them_apart(experiment: Path) -> None:
    report = read_experiment(experiment)
    assert report.differing == ["rate"]
    # epochs is a parameter, seed only in what the command recorded.
    assert report.shared == {"epochs": 20, "seed": 7}


def test_every_metric_of_every_run_has_its_curve_before_any_sync(page: Page) -> None:
    assert [chart["name"] for chart in page.data["metrics"]] == ["accuracy", "loss"]
    steps, values = page.curve("loss", page.data["runs"].index("rate=0.3"))
    assert steps == list(range(10))
    assert values == [float(f"{1 / (i + 1):.6g}") for i in range(10)]
    assert len(page.data["metrics"][1]["series"]) == 4


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


def test_only_numbers_are_drawn(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    row = {"loss": 1, "text": "3", "flag": True, "list": [1], "nothing": None, "deep": {"er": 2}}
    write_segments([segment(run, "one", [row, row])])
    page = build(run.parent)
    assert [chart["name"] for chart in page.data["metrics"]] == ["deep.er", "loss"]


def test_a_number_beyond_a_floats_range_is_none() -> None:
    assert [is_number(value) for value in (1, 1.5, math.nan, 10**400, True, "1", None)] == [
        *(True, True, True, False, False, False, False)
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (3599.7, "1 h 00 min"),
        (90061.0, "25 h 01 min"),
    ],
)
def test_durations_are_written_as_a_person_would(tmp_path: Path, seconds: float, text: str) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_run(run, "one", {})
    write_attempt(run, 1, "finished", seconds=seconds)
    assert build(run.parent).row("one")["Duration"] == text


def test_what_is_not_finite_is_a_gap_in_the_curve_and_named_in_the_table(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    values = [1.0, math.nan, 2.0, math.inf, 3.0, 4.0, math.nan]
    write_segments([segment(run, "one", [{"loss": value, "low": -math.inf} for value in values])])
    page = build(run.parent)
    assert page.curve("loss", 0)[1] == [1.0, None, 2.0, None, 3.0, 4.0, None]
    assert (page.row("one")["loss"], page.row("one")["low"]) == ("NaN", "\N{MINUS SIGN}\N{INFINITY}")


@given(
    values=st.lists(st.one_of(st.floats(), st.just(math.nan)), min_size=1, max_size=400),
    most=st.integers(4, 120),
)
def test_a_thinned_curve_keeps_its_ends_and_peaks(values: list[float], most: int) -> None:
    kept = thin(values, most)
    assert len(kept) <= max(most, 1)
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        shown = [values[i] for i in kept if math.isfinite(values[i])]
        assert (min(shown), max(shown)) == (min(finite), max(finite))


def test_long_curves_are_thinned_and_the_page_says_so(tmp_path: Path, page: Page) -> None:
    run = tmp_path / "digits" / "aaaa"
    logged = [{"loss": 5.0 if i == 777 else i / 3000} for i in range(3000)]
    write_segments([segment(run, "one", logged)])
    long = build(run.parent)
    steps, values = long.curve("loss", 0)
    assert POINTS_PER_CURVE - 10 <= len(steps) <= POINTS_PER_CURVE
    assert values[steps.index(777)] == 5.0
    assert "so that no peak is lost" in long.text
    assert "so that no peak is lost" not in page.text


def test_a_metric_that_only_counts_comes_last() -> None:
    assert counts_up(Curve([0, 1, 2], [0.0, 1.0, 2.0], 3, 2.0))
    assert counts_up(Curve([3, 6], [1.0, 4.0], 2, 4.0))
    assert not counts_up(Curve([0, 1, 2], [0.0, 1.0, 4.0], 3, 4.0))
    assert not counts_up(Curve([0, 1, 2], [0.0, 0.5, 1.0], 3, 1.0))
    assert not counts_up(Curve([0, 1], [1.0, 1.0], 2, 1.0))
    assert not counts_up(Curve([0, 1, 2], [0.0, None, 2.0], 3, 2.0))
    assert not counts_up(Curve([5], [1.0], 1, 1.0))


def test_text_of_the_users_cannot_leave_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    for run, value in (("aaaa", EVIL), ("bbbb", "{{ 7 * 7 }} ${x} `y`")):
        write_run(folder / run, f"{value} {run}", {EVIL: value, "same": EVIL})
        write_attempt(folder / run, 1, "failed", message=EVIL, signal=EVIL)
    write_segments([segment(folder / "aaaa", "a", [{EVIL: 1.0, "loss": 2.0}], config={f"config {EVIL}": EVIL})])
    page = build(folder)
    assert len(page.scripts) == 2
    assert "hacked" not in page.scripts[1]
    assert not [tag for tag, _ in page.elements if tag == "b"]
    assert page.data["runs"][0] == f"{EVIL} aaaa"
    assert EVIL in [chart["name"] for chart in page.data["metrics"]]
    assert page.table[2][0].count(EVIL) == 1
    assert "{{ 7 * 7 }} ${x} `y` bbbb" in page.table[3][0]
    # Name, failure, parameter, its value, shared value, note: each as it was given.
    assert page.text.count(EVIL) >= 6


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", " https://x", None, 3, ""])
def test_only_an_address_on_the_web_becomes_a_link(tmp_path: Path, url: object) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_run(run, "one", {})
    write_receipt(run, url=url)
    page = build(run.parent)
    assert not [attributes for tag, attributes in page.elements if tag == "a"]
    assert page.row("one")["Receipt"].startswith("verified")


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
    assert page.row("aaaa")["Run"].endswith("no longer in the sweep")
    assert not page.row("bbbb")["Run"].endswith("no longer in the sweep")
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
    for name, text in {"20990101_000000-a": "foreign", "20990101_000001-a": ""}.items():
        (run / "wandb" / f"offline-run-{name}").mkdir()
        (run / "wandb" / f"offline-run-{name}" / "run-aaaa.wandb").write_text(text)
    (run / "wandb" / "offline-run-20990101_000002-a").mkdir()
    (run / "run.json").write_text('{"name": ')
    write(run / "interim-receipt.json", ["not", "a", "mapping"])
    write(run / "attempts" / "1.json", {"outcome": "finished", "seconds": "long"})
    (run / "attempts" / "2.json").write_text("")
    (run / "attempts" / "notes.json").write_text("not an attempt")
    page = build(run.parent)
    assert 38 <= len(page.curve("loss", 0)[0]) <= 40
    for note in (
        "run.json: cannot be read",
        "receipt.json: found no mapping",
        "2.json: cannot be read",
        "not a W&B transaction log",
        "found no run-*.wandb in it",
        "bytes unreadable in 1 place",
    ):
        assert note in page.text
    assert (page.row("one")["Attempts"], page.row("aaaa")["Receipt"]) == ("2", "none yet")


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


def experiment_of(parameters: list[dict[str, Any]]) -> ExperimentReport:
    runs = [RunReport(id=str(i), name=f"run {i}", parameters=given) for i, given in enumerate(parameters)]
    names = list(dict.fromkeys(name for given in parameters for name in given))
    return ExperimentReport("digits", None, runs, [], [], names, {}, thinned=False)  # type: ignore[arg-type]


def test_up_to_eight_runs_have_a_colour_each() -> None:
    colours = choose_colours(experiment_of([{"rate": i} for i in range(8)]))
    assert (colours.by, colours.of_run) == (None, list(range(8)))
    assert len(set(colours.palette())) == len(set(colours.palette(dark=True))) == 8


def test_of_more_runs_colour_stands_for_a_parameter() -> None:
    colours = choose_colours(experiment_of([{"rate": i % 3} for i in range(30)]))
    assert (colours.by, colours.labels, colours.of_run[:4]) == ("rate", ["0", "1", "2"], [0, 1, 2, 0])
    assert len(set(colours.palette())) == 3


def test_a_parameter_with_many_numbers_is_put_into_eight_classes() -> None:
    colours = choose_colours(experiment_of([{"rate": (i * 7 % 40) / 10} for i in range(40)]))
    assert (colours.by, len(colours.labels)) == ("rate", 8)
    assert {colours.of_run.count(i) for i in range(8)} == {5}
    assert colours.labels[0] == "0 to 0.4"
    assert colours.of_run[0] == 0


def test_words_colour_only_where_they_are_few() -> None:
    many = [{"word": f"w{i}", "optimizer": "adam" if i % 2 else "sgd"} for i in range(20)]
    colours = choose_colours(experiment_of(many))
    assert (colours.by, colours.labels) == ("optimizer", ["sgd", "adam"])
    alike = choose_colours(experiment_of([{"word": f"w{i}"} for i in range(20)]))
    assert (alike.by, set(alike.of_run)) == (None, {0})


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


def test_a_segment_of_wandbs_own_is_read_column_by_column(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_segments([segment(run, "one", [{"loss": 1.0, "deep": {"er": 2}}, {"loss": "text"}])])
    measured = read_measurements(next(run.glob("wandb/offline-run-*")))
    assert measured.steps == [0, 1]
    assert measured.columns == {"loss": ([0, 1], [1, "text"]), "deep.er": ([0], [2])}
    assert measured.times == sorted(measured.times)
    assert 0 < measured.began <= measured.times[0]


def test_importing_the_report_is_cheap() -> None:
    script = "import sys, runferry.report.build; print({'wandb', 'jinja2'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout == "set()\n"
