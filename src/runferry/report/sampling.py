"""Collect the curves of one run over all its segments, thinned for drawing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runferry.report.model import Curve, SystemCurve, thin
from runferry.system.values import is_number

if TYPE_CHECKING:
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


def counts_up(curve: Curve) -> bool:
    """Return whether a curve is nothing but a count: a straight line up through whole numbers."""
    steps, values = curve.steps, curve.values
    if len(steps) < 2 or values[0] is None or any(value is None or value != int(value) for value in values):
        return False
    slope = ((values[-1] or 0) - values[0]) / (steps[-1] - steps[0])
    return slope > 0 and all(
        value is not None and math.isclose(value, values[0] + slope * (step - steps[0]), abs_tol=0.5)
        for step, value in zip(steps, values, strict=True)
    )


def _spread(pairs: list[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    if len(pairs) <= most:
        return pairs
    return [pairs[i * (len(pairs) - 1) // (most - 1)] for i in range(most)]


def _rounded(value: float) -> float | None:
    # Six digits are more than a screen shows, and halve the size of the page.
    return float(f"{value:.6g}") if math.isfinite(value) else None
