"""Follow how a search went: the best value after each point, and the points of a Pareto front.

It is read from the search's own file alone: what the engine was asked and told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.config.search.results import metric_names, metrics_of
from runferry.config.search.state import points_file, points_of, read_events, read_search
from runferry.errors import LaunchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from runferry.config.search.state import Point


@dataclass(frozen=True)
class PointOutcome:
    """One point of a search, in the order in which points were asked for."""

    point: Point
    values: tuple[float, ...] | None
    """Of the metrics, in their order; None where the run has no value of one, or did not finish."""
    best: tuple[float | None, ...]
    """The best of each metric so far."""
    front: bool
    """Whether no other point is better in one metric and as good in all others."""


@dataclass(frozen=True)
class SearchHistory:
    """What a search gave, point by point."""

    metrics: tuple[str, ...]
    """Names, in the order of the values."""
    goals: tuple[str, ...]
    """Of each metric, "minimize" or "maximize"."""
    outcomes: Sequence[PointOutcome]


def read_history(experiment: Path) -> SearchHistory | None:
    """Read the history of a search from `results/<experiment>`; None where there is no search."""
    try:
        definition = read_search(experiment).definition
    except (LaunchError, OSError, ValueError):
        return None
    goals = tuple(str(metric.get("goal", "minimize")) for metric in metrics_of(definition))
    found = outcomes(points_of(read_events(points_file(experiment))), definition)
    return SearchHistory(tuple(metric_names(definition)), goals, found)


def outcomes(points: Sequence[Point], definition: Mapping[str, Any]) -> list[PointOutcome]:
    """Return what each point of a search gave.

    Parameters
    ----------
    points
        As `runferry.config.search.state.points_of` returns them.
    definition
        The sweep's.
    """
    names = metric_names(definition)
    signs = [-1.0 if metric.get("goal") == "maximize" else 1.0 for metric in metrics_of(definition)]
    values = [_values(point, names) for point in points]
    known = [one for one in values if one is not None]
    best: list[float | None] = [None] * len(names)
    found: list[PointOutcome] = []
    for point, one in zip(points, values, strict=True):
        if one is not None:
            best = [
                value if before is None or sign * value < sign * before else before
                for value, before, sign in zip(one, best, signs, strict=True)
            ]
        front = one is not None and not any(_is_better(other, one, signs) for other in known)
        found.append(PointOutcome(point, one, tuple(best), front))
    return found


def best_of(points: Sequence[Point], definition: Mapping[str, Any]) -> str | None:
    """Describe what a search has given so far; None where nothing."""
    given = [outcome for outcome in outcomes(points, definition) if outcome.values is not None]
    if not given:
        return None
    names = metric_names(definition)
    if len(names) > 1:
        front = sum(outcome.front for outcome in given)
        return f"{front} of {len(given)} runs are on the Pareto front of {' and '.join(names)}"
    best = next(outcome for outcome in given if outcome.values == given[-1].best)
    assert best.values is not None
    return f"best so far: {names[0]} {best.values[0]:g} of {best.point.run}, the best of {len(given)}"


def _values(point: Point, names: Iterable[str]) -> tuple[float, ...] | None:
    values = point.values or {}
    if point.state != "finished" or not all(name in values for name in names):
        return None
    return tuple(values[name] for name in names)


def _is_better(one: Sequence[float], other: Sequence[float], signs: Sequence[float]) -> bool:
    pairs = [(sign * mine, sign * its) for mine, its, sign in zip(one, other, signs, strict=True)]
    return all(mine <= its for mine, its in pairs) and any(mine < its for mine, its in pairs)
