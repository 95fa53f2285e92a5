from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runferry.report.build import build_report
from runferry.report.data import POINTS_PER_CURVE, read_experiment
from runferry.report.model import Curve
from runferry.report.sampling import counts_up, is_counter
from support.report_pages import (
    Page,
    build,
    no_slurm,  # noqa: F401 - a fixture
)
from support.sample_experiment import (
    segment,
    write_attempt,
    write_receipt,
    write_run,
    write_segments,
)

if TYPE_CHECKING:
    from pathlib import Path


DASH = "\N{EN DASH}"
EVIL = """</script><script>hacked()</script>"'<b>&amp; é"""


def test_the_report_lies_in_the_experiments_folder(experiment: Path, page: Page) -> None:
    assert build_report(experiment) == experiment / "report.html"
    assert not [file for file in experiment.iterdir() if file.name.startswith(".")]


def test_the_page_asks_nothing_of_the_network(page: Page) -> None:
    links = [attributes.get("href") for tag, attributes in page.elements if tag == "a"]
    assert [link for link in links if link and not link.startswith("#")] == [
        # Of the best run, and in its row.
        *["https://wandb.example/lab/digits/runs/aaaa"] * 2,
        *(f"{run}/train.log" for run in ("dddd", "cccc", "bbbb", "aaaa")),
    ]
    for tag, attributes in page.elements:
        assert tag not in {"img", "iframe", "object", "embed", "base"}
        assert "src" not in attributes
        if tag == "link":
            assert attributes == {"rel": "icon", "href": "data:,"}
    (policy,) = [attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes]
    assert policy is not None
    assert re.match(r"default-src 'none'; script-src 'sha256-[^ ]+'; style-src 'sha256-[^ ]+'; img-src data:", policy)
    assert "unsafe" not in policy
    assert not [attributes for _, attributes in page.elements if "style" in attributes]
    assert "http" not in policy


def test_the_head_says_what_it_is_about_and_how_it_stands(page: Page) -> None:
    assert "5 runs: 1 finished, 1 running, 2 failed, 1 not started; receipts for 1 of 5." in page.text
    assert "W&B project lab/digits" in page.text
    assert re.search(r"as of \d+ \w+ \d{4}, \d\d:\d\d UTC", " ".join(page.text.split()))


def test_the_table_has_a_row_for_every_run_the_best_first(page: Page) -> None:
    # By accuracy, of which each run has as much as it has rows; the last has none.
    assert [row[0].split()[0] for row in page.table[2:]] == [f"rate={rate}" for rate in (0.1, 0.3, 0.2, 0.4, 0.5)]
    assert page.header == [
        *("Run", "State", "highestaccuracy", "atstep", "rate", "accuracy", "loss", "Duration", "Attempts"),
        *("Server", "Receipt"),
    ]


def test_a_verified_run_has_its_link_and_receipt(page: Page) -> None:
    assert page.row("rate=0.1") == {
        "Run": "rate=0.1",
        "State": "finished",
        "highestaccuracy": "0.1900",
        "atstep": "19",
        "rate": "0.1",
        "accuracy": "0.1900",
        "loss": "0.0500",
        "Duration": "1 min 00 s",
        "Attempts": "1",
        "Server": "open",
        "Receipt": "verified 1 Mar 2026, 11:30",
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
    # Started again from its checkpoint: epochs 3 and 4 come twice.
    assert counts_up(Curve([*range(8)], [1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 5.0, 6.0], 8, 6.0))
    assert not counts_up(Curve([*range(6)], [1.0, 0.0, 1.0, 0.0, 1.0, 0.0], 6, 0.0))


@pytest.mark.parametrize("name", ["epoch", "train/epoch", "trainer/global_step", "iteration", "num_tokens"])
def test_a_counter_is_known_by_its_name(name: str) -> None:
    # As Hugging Face's trainer logs it.
    assert is_counter(name, [Curve([0, 1], [0.31, 0.62], 2, 0.62)])
    assert not is_counter(f"{name}_loss", [Curve([0, 1], [0.31, 0.62], 2, 0.62)])


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


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", " https://x", None, ""])
def test_only_an_address_on_the_web_becomes_a_link(tmp_path: Path, url: object) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_run(run, "one", {})
    write_receipt(run, url=url)
    page = build(run.parent)
    assert not [attributes for tag, attributes in page.elements if tag == "a"]
    assert page.row("one")["Receipt"].startswith("verified")


def test_a_receipt_with_an_address_that_is_no_text_is_named_and_verifies_nothing(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_run(run, "one", {})
    write_receipt(run, url=3)
    page = build(run.parent)
    assert [attributes["href"] for tag, attributes in page.elements if tag == "a"] == ["#notes-0"]
    assert "url: found 3, expected a text" in page.text
    assert not page.row("one")["Receipt"].startswith("verified")


def test_importing_the_report_is_cheap() -> None:
    script = "import sys, runferry.report.build; print({'wandb', 'jinja2'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout == "set()\n"
