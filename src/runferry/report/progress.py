"""Follow how the best value of an experiment developed: against runs or a search's points, and against hours."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from runferry.report.summary import pareto_front
from runferry.report.table import number_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.config.search.history import PointOutcome, SearchHistory
    from runferry.report.model import ExperimentReport, RunReport

_MOST_STEPS = 20
"""Of the points that were better than all before, the last ones are listed."""


def unit_of(report: ExperimentReport) -> str:
    """Name the hours that are counted: those of GPUs, or of training where no run asked for one."""
    return "GPU-hours" if any(run.gpus for run in report.own) else "hours of training"


def progress_data(report: ExperimentReport) -> dict[str, Any]:
    """Return what the charts of the progress are drawn from, as JSON values.

    Runs are in the order of their ends, with the hours used up to then; a search's points in the order in which its
    engine was asked for them.
    """
    ended = sorted(
        (run.attempts[-1].end, number)
        for number, run in enumerate(report.runs)
        if run.attempts and run.attempts[-1].end and not run.attempts[-1].under_way and not run.within
    )
    front = [number for number, *_ in pareto_front(report, report.goals)] if len(report.goals) > 1 else []
    return {
        "ended": [number for _, number in ended],
        "hours": _sums(report, [report.runs[number] for _, number in ended]),
        "unit": unit_of(report),
        "front": front,
        "search": _search_data(report, report.search) if report.search else None,
    }


def search_words(report: ExperimentReport, names: Sequence[str]) -> dict[str, Any] | None:
    """Return what the page says of a search: how many points ended how, and those that were better than all before.

    Parameters
    ----------
    names
        Of the report's runs, as the page shows them.
    """
    search = report.search
    if search is None or not search.outcomes:
        return None
    hours = _hours_of_points(report, search)
    goals = [f"{_way(goal)} {metric}" for metric, goal in zip(search.metrics, search.goals, strict=True)]
    several = len(search.metrics) > 1
    listed = [outcome for outcome in search.outcomes if outcome.front] if several else _steps(search.outcomes)
    columns = [
        number_cells([outcome.values[i] if outcome.values else None for outcome in listed]) for i in range(len(goals))
    ]
    numbers = {run.id: number for number, run in enumerate(report.runs)}
    rows = [
        {
            "point": outcome.point.number,
            "number": (number := numbers.get(outcome.point.run)),
            "name": outcome.point.run if number is None else names[number],
            "values": [column[i].text for column in columns],
            "hours": f"{hours[outcome.point.number - 1]:.3g}",
        }
        for i, outcome in enumerate(listed)
    ]
    return {
        "goals": goals,
        "several": several,
        "counts": _counts(search.outcomes),
        "standing": _standing(search, rows, hours, unit_of(report)),
        "left_out": 0 if several else max(len(rows) - _MOST_STEPS, 0),
        "rows": rows if several else rows[-_MOST_STEPS:],
    }


def _search_data(report: ExperimentReport, search: SearchHistory) -> dict[str, Any]:
    numbers = {run.id: number for number, run in enumerate(report.runs)}
    return {
        "metrics": list(search.metrics),
        "ways": [_way(goal) for goal in search.goals],
        "points": [
            {
                "run": numbers.get(outcome.point.run),
                "values": outcome.values and [float(f"{value:.6g}") for value in outcome.values],
                "front": outcome.front,
            }
            for outcome in search.outcomes
        ],
        "hours": _hours_of_points(report, search),
    }


def _hours_of_points(report: ExperimentReport, search: SearchHistory) -> list[float]:
    known = {run.id: run for run in report.runs}
    return _sums(report, [known.get(outcome.point.run) for outcome in search.outcomes])


def _sums(report: ExperimentReport, runs: Sequence[RunReport | None]) -> list[float]:
    """Return the hours that the runs up to each one used together."""
    on_gpus = unit_of(report) == "GPU-hours"
    sums: list[float] = []
    used = 0.0
    for run in runs:
        used += ((run.seconds or 0) / 3600 * (run.gpus if on_gpus else 1)) if run else 0.0
        sums.append(round(used, 4))
    return sums


def _steps(outcomes: Sequence[PointOutcome]) -> list[PointOutcome]:
    """Return the outcomes that were better than all before, of one metric."""
    first = [outcome for outcome in outcomes if outcome.values is not None][:1]
    return first + [outcome for before, outcome in pairwise(outcomes) if before.best[0] not in (None, outcome.best[0])]


def _counts(outcomes: Sequence[PointOutcome]) -> str:
    """Say how many points ended how."""
    states = [outcome.point.state or "not ended" for outcome in outcomes]
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states, key=_ORDER.index))]
    return f"{len(states)} {'point' if len(states) == 1 else 'points'} asked for: {', '.join(parts)}"


_ORDER = ["finished", "pruned", "failed", "not ended"]


def _standing(search: SearchHistory, rows: Sequence[dict[str, Any]], hours: Sequence[float], unit: str) -> str:
    """Say when the best value came, and what was spent since without a better one."""
    given = sum(outcome.values is not None for outcome in search.outcomes)
    if not rows:
        return "None of them has a value yet."
    if len(search.metrics) > 1:
        return f"{len(rows)} of the {given} with values of all goals are on the Pareto front."
    last = rows[-1]
    point: int = last["point"]
    since = sum(outcome.values is not None for outcome in search.outcomes[point:])
    spent = hours[-1] - hours[point - 1]
    after = f"; none of the {since} finished since was better, for {spent:.3g} {unit} more" if since else ""
    return f"The best, {last['values'][0]}, is point {point}, after {last['hours']} {unit}{after}."


def _way(goal: str) -> str:
    return "highest" if goal == "maximize" else "lowest"
