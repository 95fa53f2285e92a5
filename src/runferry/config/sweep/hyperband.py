"""Decide when hyperband stops a run, by the rule of W&B's `sweeps` 0.3.0 (`hyperband_stop_runs`), in pure Python.

A test compares the two. "Iterations" are the rows that have the metric, as in W&B's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEFAULT_ETA = 3.0
_MOST_BANDS = 100


def bands(section: Mapping[str, Any]) -> list[int]:
    """Return the iterations at which runs are compared, from an `early_terminate` section that was checked."""
    eta: float = section.get("eta", _DEFAULT_ETA)
    found: list[int] = []
    if "max_iter" in section:
        band = float(section["max_iter"])
        for _ in range(int(section["s"])):
            band /= eta
            if band < 1:
                break
            found.append(int(band))
        return sorted(found)
    band = float(section["min_iter"])
    for _ in range(_MOST_BANDS):
        found.append(int(band))
        band *= eta
    return found


def threshold(values: Sequence[float], section: Mapping[str, Any]) -> float:
    """Return the value at a band above which a run is stopped: lower is better."""
    return sorted(values)[int(len(values) / section.get("eta", _DEFAULT_ETA))]


def value_to_compare(history: Sequence[float], band: int, section: Mapping[str, Any]) -> float:
    """Return the value of a run to compare at a band: the one there, or its best where the rule is not strict."""
    return history[band - 1] if section.get("strict", True) else min(history)
