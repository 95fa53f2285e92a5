"""Read and write `best.json`, which names the run of an experiment that other experiments use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runferry.system.records import Record, optional


@dataclass(frozen=True, eq=False, repr=False)
class BestRecord(Record):
    """The content of `best.json`."""

    NAME: ClassVar[str] = "record of the best run"
    run: str
    """The id of the run."""
    metric: str | None = optional()
    """Name of the metric by which it is the best; None where it is the only run, as the next two."""
    goal: str | None = optional()
    """Of the metric, "minimize" or "maximize"."""
    value: float | None = optional()
    """The best value of the metric that the run logged."""
    of: int = 1
    """How many runs the experiment has."""
