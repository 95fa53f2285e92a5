"""Collect the curves of one run over all its segments, thinned for drawing."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from runferry.report.model import Curve, SystemCurve, thin
from runferry.system.values import is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runferry.report.measurements import Measurements


POINTS_OF_CLOCK = 100
"""At most so many pairs of step and time are kept of a run: between them time is taken to pass evenly."""


class Curves:
    """Collects the curves of one run from its segments."""

    def __init__(self) -> None:
        self._steps: dict[str, list[int]] = {}
        self._values: dict[str, list[float]] = {}
        self._last_step = -1
        self._clock: list[tuple[int, float]] = []
        self._system: dict[str, tuple[list[float], list[float]]] = {}
        self._trained = 0.0

    def add_segment(self, measured: Measurements) -> None:
        """Append the measurements of the next segment of the run.

        Offline, wandb counts the steps of every segment from 0; when it is synced the server continues after
        its last step, and shifts steps given in the script likewise where they overlap (measured: `wandb
        sync` of 0.31). The curve shows what will be there.

        Time is that of training: the next segment's goes on where the one before it ended.
        """
        shift = max(self._last_step + 1 - measured.steps[0], 0) if measured.steps else 0
        steps = [step + shift for step in measured.steps]
        for metric, (rows, values) in measured.columns.items():
            numbers = [(row, float(value)) for row, value in zip(rows, values, strict=True) if is_number(value)]
            if numbers:
                self._steps.setdefault(metric, []).extend(steps[row] for row, _ in numbers)
                self._values.setdefault(metric, []).extend(value for _, value in numbers)
        before = self._trained
        times = [before + max(time - measured.began, 0.0) for time in measured.times]
        self._clock += _spread(list(zip(steps, times, strict=False)), POINTS_OF_CLOCK)
        for name, (stamps, values) in measured.system.items():
            seconds, collected = self._system.setdefault(name, ([], []))
            seconds += [before + max(stamp - measured.began, 0.0) for stamp in stamps]
            collected += values
        self._last_step = max([self._last_step, *steps])
        self._trained = max([before, *times, *(seconds[-1] for seconds, _ in self._system.values() if seconds)])

    def thinned(self, most: int) -> dict[str, Curve]:
        """Return the curves by metric, each with at most `most` points."""
        curves: dict[str, Curve] = {}
        for metric in sorted(self._steps, key=metric_order):
            steps, values = self._steps[metric], self._values[metric]
            kept = thin(values, most)
            curves[metric] = Curve(
                steps=[steps[i] for i in kept],
                values=[_rounded(values[i]) for i in kept],
                logged=len(values),
                last=values[-1],
                lowest=_extreme(min, steps, values),
                highest=_extreme(max, steps, values),
                lost=_lost(steps, values),
            )
        return curves

    def clock(self) -> list[tuple[int, float]]:
        """Return steps with the seconds of training at them, both rising."""
        rising: list[tuple[int, float]] = []
        for step, seconds in _spread(self._clock, POINTS_OF_CLOCK):
            if not rising or (step > rising[-1][0] and seconds >= rising[-1][1]):
                rising.append((step, round(seconds, 3)))
        return rising

    def system(self, most: int) -> dict[str, SystemCurve]:
        """Return the measurements of the machine, each with at most `most` points."""
        curves: dict[str, SystemCurve] = {}
        for name, (seconds, values) in self._system.items():
            kept = thin(values, most)
            mean, peak = sum(values) / len(values), max(values)
            points = [float(f"{values[i]:.4g}") for i in kept]
            curves[name] = SystemCurve([round(seconds[i], 1) for i in kept], points, mean, peak)
        return curves


def metric_order(metric: str) -> tuple[str, str]:
    """Return the sort key of a metric: its name, whatever the case."""
    return metric.casefold(), metric


_COUNTERS = re.compile(
    r"(?:.*[/._ ])?(?:epochs?|(?:global_?)?steps?|iter(?:ation)?s?|batch(?:es)?|(?:num_)?tokens|samples)", re.IGNORECASE
)


def is_counter(metric: str, curves: Sequence[Curve]) -> bool:
    """Return whether a metric is no result but a count, such as an epoch: by its name, or by all of its curves."""
    return _COUNTERS.fullmatch(metric) is not None or (bool(curves) and all(map(counts_up, curves)))


def counts_up(curve: Curve) -> bool:
    """Return whether a curve is nothing but a count: straight lines up through whole numbers.

    A run that was started again counts again from its checkpoint, or from the beginning: a new line then, as steep.
    """
    values = curve.values
    if len(values) < 2 or any(value is None or value != int(value) for value in values):
        return False
    pieces: list[list[tuple[int, float]]] = [[]]
    for step, value in zip(curve.steps, values, strict=True):
        if pieces[-1] and (value or 0) < pieces[-1][-1][1]:
            pieces.append([])
        pieces[-1].append((step, value or 0))
    slopes = [
        (piece[-1][1] - piece[0][1]) / (piece[-1][0] - piece[0][0]) for piece in pieces if piece[-1][0] > piece[0][0]
    ]
    if not slopes or len(pieces) > max(1, len(values) // 4):
        return False
    slope = max(slopes)
    return slope > 0 and all(
        math.isclose(value, piece[0][1] + slope * (step - piece[0][0]), abs_tol=1.0 if len(pieces) > 1 else 0.5)
        for piece in pieces
        for step, value in piece
    )


def _extreme(choose: Callable[..., float], steps: list[int], values: list[float]) -> tuple[float, int] | None:
    """Return the lowest or highest finite value, and its step."""
    # A sum that is finite has no part that is not: most curves are not looked through twice.
    finite = values if math.isfinite(sum(values)) else [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    value = choose(finite)
    return value, steps[values.index(value)]


def _lost(steps: list[int], values: list[float]) -> tuple[int, str] | None:
    """Return the step since which no value is finite, and what the value is; None where the last one is finite."""
    if math.isfinite(values[-1]):
        return None
    first = len(values) - 1
    while first and not math.isfinite(values[first - 1]):
        first -= 1
    return steps[first], "NaN" if math.isnan(values[first]) else "infinite"


def _spread(pairs: list[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    if len(pairs) <= most:
        return pairs
    return [pairs[i * (len(pairs) - 1) // (most - 1)] for i in range(most)]


def _rounded(value: float) -> float | None:
    # Six digits are more than a screen shows, and halve the size of the page.
    return float(f"{value:.6g}") if math.isfinite(value) else None
