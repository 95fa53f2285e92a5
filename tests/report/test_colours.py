"""The colours of runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runferry.report.colours import choose_colours
from runferry.report.model import ExperimentReport, RunReport
from support.report_pages import no_slurm  # noqa: F401 - a fixture

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def experiment_of(parameters: list[dict[str, Any]]) -> ExperimentReport:
    runs = [RunReport(id=str(i), name=f"run {i}", parameters=given) for i, given in enumerate(parameters)]
    names = list(dict.fromkeys(name for given in parameters for name in given))
    return ExperimentReport("digits", Path(), NOW, runs, [], [], names, {}, thinned=False)


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
