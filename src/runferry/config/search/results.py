"""Name the metrics that a search optimizes, and choose the rows of a run that its engine is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_ROWS = 100
"""Rows of a run that an engine is told, evenly spread; W&B's own scheduler tells it a sample, too."""

Row = TypeVar("Row")


def metrics_of(definition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the metrics that a definition optimizes, each with `name` and, where it is not to minimize, `goal`."""
    return list(definition.get("metrics") or [definition["metric"]])


def metric_names(definition: Mapping[str, Any]) -> list[str]:
    """Return the names of the metrics that a definition optimizes."""
    return [str(metric["name"]) for metric in metrics_of(definition)]


def sample(rows: Sequence[Row]) -> list[Row]:
    """Return at most `MOST_ROWS` rows, evenly spread, the last one among them.

    >>> sample(range(1000))[-3:]
    [979, 989, 999]
    """
    if len(rows) <= MOST_ROWS:
        return list(rows)
    return [rows[(number + 1) * len(rows) // MOST_ROWS - 1] for number in range(MOST_ROWS)]
