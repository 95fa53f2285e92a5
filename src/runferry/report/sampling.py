"""Curves: the values of one metric of one run, over all its segments, thinned for drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.report.measurements import Measurements

POINTS_OF_CLOCK = 100
"""At most so many pairs of step and time are kept of a run: between them time is taken to pass evenly."""


@dataclass(frozen=True)
class Curve:
    """The values of one metric of one run.

    Attributes
    ----------
    steps : list of int
        Steps as the server numbers them, from the first segment to the last.
    values : list of float or None
        One for each step; None for what is not a finite number: the curve has a gap there.
    logged : int
        How many values were logged; more than `steps` has where the curve was thinned.
    last : float
        The last value, which may be NaN or infinite.
    """

    steps: list[int]
    values: list[float | None]
    logged: int
    last: float

    def thinned(self, most: int) -> Curve:
        """Give the curve with at most `most` points, its peaks kept."""
        if len(self.steps) <= most:
            return self
        kept = thin([math.nan if value is None else value for value in self.values], most)
        return replace(self, steps=[self.steps[i] for i in kept], values=[self.values[i] for i in kept])


@dataclass(frozen=True)
class SystemCurve:
    """One measurement of the machine while a run trained: seconds of training, and the values at them."""

    seconds: list[float]
    values: list[float]
    mean: float
    peak: float


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
        """Append what was measured in the next segment of the run.

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
        """Give the curves by metric, each with at most `most` points."""
        curves: dict[str, Curve] = {}
        for metric in sorted(self._steps, key=metric_order):
            steps, values = self._steps[metric], self._values[metric]
            kept = thin(values, most)
            curves[metric] = Curve(
                steps=[steps[i] for i in kept],
                values=[_rounded(values[i]) for i in kept],
                logged=len(values),
                last=values[-1],
            )
        return curves

    def clock(self) -> list[tuple[int, float]]:
        """Give steps with the seconds of training at them, both rising."""
        rising: list[tuple[int, float]] = []
        for step, seconds in _spread(self._clock, POINTS_OF_CLOCK):
            if not rising or (step > rising[-1][0] and seconds >= rising[-1][1]):
                rising.append((step, round(seconds, 3)))
        return rising

    def system(self, most: int) -> dict[str, SystemCurve]:
        """Give the measurements of the machine, each with at most `most` points."""
        curves: dict[str, SystemCurve] = {}
        for name, (seconds, values) in self._system.items():
            kept = thin(values, most)
            mean, peak = sum(values) / len(values), max(values)
            points = [float(f"{values[i]:.4g}") for i in kept]
            curves[name] = SystemCurve([round(seconds[i], 1) for i in kept], points, mean, peak)
        return curves


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a logged value can be drawn: a float or an int (within a float's range), but no bool."""
    return type(value) is float or (type(value) is int and abs(value) < 1e308)


def metric_order(metric: str) -> tuple[str, str]:
    """Sort metrics as people look for them: by name, whatever the case."""
    return metric.casefold(), metric


def counts_up(curve: Curve) -> bool:
    """Tell whether a curve is nothing but a count: a straight line up through whole numbers."""
    steps, values = curve.steps, curve.values
    if len(steps) < 2 or values[0] is None or any(value is None or value != int(value) for value in values):
        return False
    slope = ((values[-1] or 0) - values[0]) / (steps[-1] - steps[0])
    return slope > 0 and all(
        value is not None and math.isclose(value, values[0] + slope * (step - steps[0]), abs_tol=0.5)
        for step, value in zip(steps, values, strict=True)
    )


def thin(values: Sequence[float], most: int) -> list[int]:
    """Choose at most `most` of `values` (4 or more) so that no peak is lost; return their indices in order.

    The values are cut into equal spans; of each the lowest and the highest are kept, and of all the first
    and last.
    """
    count = len(values)
    if count <= most:
        return list(range(count))
    spans = (most - 2) // 2
    kept = {0, count - 1}
    for span in range(spans):
        indices = range(count * span // spans, count * (span + 1) // spans)
        finite = [i for i in indices if math.isfinite(values[i])]
        if finite:
            kept.add(min(finite, key=values.__getitem__))
            kept.add(max(finite, key=values.__getitem__))
        else:
            # Nothing to draw: one gap.
            kept.add(indices[0])
    return sorted(kept)


def _spread(pairs: list[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    if len(pairs) <= most:
        return pairs
    return [pairs[i * (len(pairs) - 1) // (most - 1)] for i in range(most)]


def _rounded(value: float) -> float | None:
    # Six digits are more than a screen shows, and halve the size of the page.
    return float(f"{value:.6g}") if math.isfinite(value) else None
