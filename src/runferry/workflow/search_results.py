"""Read from disk what an engine is told of a run: how it ended, its metrics' last values and some of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.config.search.results import sample
from runferry.config.search.state import Told
from runferry.config.sweep.parameter import is_finite_number
from runferry.errors import SegmentError
from runferry.runs.attempt_record import TrainedRecord
from runferry.system.values import is_mapping
from runferry.trackers.wandb.log.segment import history, read_segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.runs.folder import RunFolder


def result_of(number: int, folder: RunFolder, names: Sequence[str]) -> Told:
    """Return what the engine is told of a run that has ended.

    Parameters
    ----------
    number
        Of its point.
    folder
        Of the run.
    names
        Of the metrics.
    """
    summary: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for path in folder.segments():
        try:
            rows += [kept for row in history(path) if (kept := _metrics_of(row, names))]
            found = read_segment(path).summary
        except SegmentError:
            continue
        for name in names:
            value: Any = found
            for key in name.split("."):
                value = value.get(key) if is_mapping(value) else None
            if is_finite_number(value):
                summary[name] = value
    # The server takes the last row for what a summary lacks.
    summary = {name: row[name] for row in rows for name in names if name in row} | summary
    return Told(number, _state_of(folder), summary, tuple(sample(rows)))


def _metrics_of(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of a row with its step; nothing where it has none."""
    found = {name: row[name] for name in names if is_finite_number(row.get(name))}
    return {"_step": row["_step"], **found} if found and "_step" in row else {}


def _state_of(folder: RunFolder) -> str:
    try:
        return "pruned" if TrainedRecord.read(folder.trained_file).pruned else "finished"
    except (OSError, ValueError):
        return "failed"
