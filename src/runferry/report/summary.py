"""Answer the first questions about an experiment: the best run, whether the runs converged, what failed and why."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.report.goals import Goal
    from runferry.report.model import Curve, ExperimentReport, RunReport

FLAT = 0.02
"""A curve has converged where the last tenth of its steps brought less than this part of all that it gained."""
LOST = 1.25
"""A curve has ended worse than it began where it lost this much of all that it gained: of mere noise few do."""
_LAST_PART = 0.1
_LEAST_TO_LOSE = 20
"""A curve with fewer points is not said to have ended worse than it began."""
_LEAST_POINTS = 10
"""Of a curve with fewer nothing is said."""
_MOST_NAMES = 3
"""In one sentence."""


@dataclass(frozen=True)
class Ranked:
    """A run's place by a goal: its number in the report, its best value and that value's step."""

    number: int
    value: float
    step: int | None


@dataclass(frozen=True)
class FailureGroup:
    """Runs that ended for the same reason, by their numbers in the report, and what their last attempts said."""

    reason: str
    runs: list[int] = field(default_factory=list[int])
    messages: Counter[str] = field(default_factory=Counter[str])

    @property
    def message(self) -> str:
        """Return what most of the runs said, and how many other messages there are; empty where none said anything."""
        if not self.messages:
            return ""
        (first, _), *others = self.messages.most_common()
        return f"{first} (and {len(others)} other message{'s' * (len(others) > 1)})" if others else first


@dataclass(frozen=True)
class Convergence:
    """Sentences about how the curves of one metric end, each with the runs that it is about."""

    text: str
    runs: list[int]
    bad: bool = False


def ranking(report: ExperimentReport, goal: Goal) -> list[Ranked]:
    """Rank the runs that have a value of a goal's metric, the best first."""
    found = [
        Ranked(number, *best)
        for number, run in enumerate(report.runs)
        if (best := run.best(goal.metric, maximize=goal.maximize)) is not None
    ]
    return sorted(found, key=lambda ranked: -ranked.value if goal.maximize else ranked.value)


def gained_at_the_end(curve: Curve, *, maximize: bool) -> float | None:
    """Return which part of all that a curve gained came in the last tenth of its steps; None for a short curve.

    What counts is the best value so far: noise around a level is no gain.
    """
    points = [(step, value) for step, value in zip(curve.steps, curve.values, strict=True) if value is not None]
    if len(points) < _LEAST_POINTS:
        return None
    sign = 1 if maximize else -1
    border = points[-1][0] - _LAST_PART * (points[-1][0] - points[0][0])
    before = [sign * value for step, value in points if step <= border]
    first, best, earlier = sign * points[0][1], max(sign * value for _, value in points), max(before)
    return (best - earlier) / (best - first) if best > first else 0.0


def lost_at_the_end(curve: Curve, *, maximize: bool) -> float:
    """Return which part of all that a curve gained it has lost again at its end; 0 for a short curve.

    The beginning is the worst value of the first tenth of its points, the end the median of the last tenth.
    """
    sign = 1 if maximize else -1
    values = [sign * value for value in curve.values if value is not None]
    if len(values) < _LEAST_TO_LOSE:
        return 0.0
    some = len(values) // 10
    best, begin, end = max(values), min(values[:some]), median(values[-some:])
    return (best - end) / (best - begin) if best > begin else math.inf if end < best else 0.0


def convergence(report: ExperimentReport, goal: Goal) -> list[Convergence]:
    """Return sentences about the ends of the runs' curves of a goal's metric."""
    lost = [number for number, run in enumerate(report.runs) if goal.metric in run.lost]
    flat: list[int] = []
    fallen: list[int] = []
    rising: list[tuple[float, int]] = []
    for number, run in enumerate(report.runs):
        curve = run.curves.get(goal.metric)
        if curve is None or curve.lost or run.state == "running":
            continue
        if lost_at_the_end(curve, maximize=goal.maximize) >= LOST:
            fallen.append(number)
        # Of one that was cut off nobody can say where it would have ended.
        elif run.state != "failed":
            part = gained_at_the_end(curve, maximize=goal.maximize)
            if part is not None:
                flat.append(number) if part < FLAT else rising.append((part, number))
    said: list[Convergence] = []
    if flat:
        part = f"{100 * FLAT:.0f} %"
        said.append(Convergence(f"converged: the last tenth of the steps brought less than {part} of the gain", flat))
    if rising:
        rising.sort(reverse=True)
        said.append(
            Convergence("still improved at the end: longer training may help", [number for _, number in rising])
        )
    if fallen:
        said.append(Convergence("ended worse than they began: diverged, or overfitted", fallen, bad=True))
    if lost:
        first = min(lost, key=lambda number: report.runs[number].lost[goal.metric][0])
        step, what = report.runs[first].lost[goal.metric]
        said.append(Convergence(f"stopped being numbers, the first at step {step} ({what})", lost, bad=True))
    return said


def failures(runs: Sequence[RunReport]) -> list[FailureGroup]:
    """Group the runs that failed by the reason for which their last attempt ended, the most frequent first."""
    found: dict[str, FailureGroup] = {}
    for number, run in enumerate(runs):
        if run.state == "failed" and not run.within:
            reason = (run.attempts[-1].why if run.attempts else "") or run.ending or "for an unknown reason"
            failure = found.setdefault(reason, FailureGroup(reason))
            failure.runs.append(number)
            if run.message:
                failure.messages[run.message] += 1
    return sorted(found.values(), key=lambda failure: -len(failure.runs))


def names_of(numbers: Sequence[int], names: Sequence[str]) -> tuple[list[tuple[int, str]], int]:
    """Return the first few runs with their names, and how many more there are."""
    return [(number, names[number]) for number in numbers[:_MOST_NAMES]], max(len(numbers) - _MOST_NAMES, 0)


def pareto_front(report: ExperimentReport, goals: Sequence[Goal]) -> list[tuple[int, float, float]]:
    """Return the runs that no other run surpasses in both of two goals, with their best values, by the first goal."""
    one, other = goals[:2]
    both = [
        (number, a[0], b[0])
        for number, run in enumerate(report.runs)
        if (a := run.best(one.metric, maximize=one.maximize)) and (b := run.best(other.metric, maximize=other.maximize))
    ]
    signs = [-1 if goal.maximize else 1 for goal in (one, other)]
    front: list[tuple[int, float, float]] = []
    for point in sorted(both, key=lambda each: (signs[0] * each[1], signs[1] * each[2])):
        if not front or signs[1] * point[2] < signs[1] * front[-1][2]:
            front.append(point)
    return front
