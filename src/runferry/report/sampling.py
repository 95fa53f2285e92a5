"""Curves: the values of one metric of one run, over all its segments, thinned for drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


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


class Curves:
    """Collects the curves of one run from the rows of its segments."""

    def __init__(self) -> None:
        self._steps: dict[str, list[int]] = {}
        self._values: dict[str, list[float]] = {}
        self._last_step = -1

    def add_segment(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append the rows of the next segment of the run.

        Offline, wandb counts the steps of every segment from 0; when it is synced the server continues after
        its last step, and shifts steps given in the script likewise where they overlap (measured: `wandb
        sync` of 0.31). The curve shows what will be there.
        """
        shift: int | None = None
        for row in rows:
            step = int(row["_step"])
            if shift is None:
                shift = max(self._last_step + 1 - step, 0)
            step += shift
            self._last_step = max(self._last_step, step)
            for metric, value in row.items():
                if is_number(value) and metric[:1] != "_":
                    self._steps.setdefault(metric, []).append(step)
                    self._values.setdefault(metric, []).append(float(value))

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


def _rounded(value: float) -> float | None:
    # Six digits are more than a screen shows, and halve the size of the page.
    return float(f"{value:.6g}") if math.isfinite(value) else None
