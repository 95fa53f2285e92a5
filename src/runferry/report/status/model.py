"""Define the content of `runferry status`, for a user and for a program."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runferry.runs.state import FAILED, STATES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.report.status.purge import Oldest
    from runferry.report.status.queue import QueuedRuns, RunsJob


@dataclass(frozen=True)
class Metric:
    """The metric that is shown for an experiment."""

    name: str
    goal: str | None = None
    """`minimize`, `maximize`, or None where nothing says which is better."""


@dataclass(frozen=True)
class Failure:
    """The failure of a run's last attempt."""

    why: str
    """One of `runferry.runs.reasons`."""
    message: str | None
    """What the launcher said."""
    ended: str
    """When, as its record has it; empty where it has not said."""
    log: Path
    last_lines: Sequence[str]
    """The last that its command printed."""


@dataclass(frozen=True)
class RunStatus:
    """The status of one run.

    Attributes
    ----------
    id, name, experiment : str
    state : str
        One of `runferry.runs.state.STATES`; "done" only where the receipt speaks of the segments as they are now.
    failure : Failure or None
    value : float or None
        The last of the metric; None where there is none, or no metric.
    changed : float
        When a segment was written to last, seconds since 1970; 0 where there is none.
    unsynced_rows, unsynced_bytes : int
        Rows of the history, and bytes of logs, that the server is not known to have.
    """

    id: str
    name: str
    experiment: str
    state: str
    failure: Failure | None = None
    value: float | None = None
    changed: float = 0.0
    unsynced_rows: int = 0
    unsynced_bytes: int = 0


@dataclass(frozen=True)
class ExperimentStatus:
    """The status of one experiment: its runs, and its jobs that have not ended."""

    name: str
    folder: Path
    runs: Sequence[RunStatus]
    jobs: Sequence[RunsJob]
    metric: Metric | None

    @cached_property
    def states(self) -> Counter[str]:
        """Count the runs by state."""
        return Counter(run.state for run in self.runs)

    @property
    def newest(self) -> RunStatus | None:
        """Return the run that wrote last, of those with a value of the metric."""
        return max(self._with_value, key=lambda run: run.changed, default=None)

    @property
    def best(self) -> RunStatus | None:
        """Return the run whose last value is the best; None where the metric's goal is not known."""
        if self.metric is None or self.metric.goal is None:
            return None
        sign = -1 if self.metric.goal == "maximize" else 1
        numbers = [run for run in self._with_value if run.value is not None and not math.isnan(run.value)]
        return min(numbers, key=lambda run: sign * (run.value or 0.0), default=None)

    @property
    def _with_value(self) -> list[RunStatus]:
        return [run for run in self.runs if run.value is not None]

    def as_json(self) -> dict[str, Any]:
        """Return the status of the experiment as data for JSON."""
        metric = None
        if self.metric:
            chosen = {"newest": self.newest, "best": self.best}
            values = {key: {"run": run.id, "value": _number(run.value)} if run else None for key, run in chosen.items()}
            metric = {**asdict(self.metric), **values}
        return {
            "name": self.name,
            "folder": str(self.folder),
            "runs": len(self.runs),
            "states": {state: self.states[state] for state in STATES},
            "metric": metric,
            "unsynced_rows": sum(run.unsynced_rows for run in self.runs),
            "unsynced_bytes": sum(run.unsynced_bytes for run in self.runs),
            "jobs": [
                {"id": each.job.id, "state": each.job.state, "reason": each.job.reason, "of": each.of}
                for each in self.jobs
            ],
        }


@dataclass
class Status:
    """The status of all runs that were looked at.

    Attributes
    ----------
    experiments : list of ExperimentStatus
    queue : QueuedRuns
    oldest : Oldest or None
        The log that was written longest ago of what is not on the server.
    damaged : dict
        What could not be read, by the path of the segment or run.
    cleaned : int
        Segments that were deleted after they had been verified.
    """

    experiments: Sequence[ExperimentStatus]
    queue: QueuedRuns
    oldest: Oldest | None = None
    damaged: dict[str, str] = field(default_factory=dict[str, str])
    cleaned: int = 0

    @cached_property
    def runs(self) -> list[RunStatus]:
        """Return the runs of all experiments."""
        return [run for experiment in self.experiments for run in experiment.runs]

    @cached_property
    def states(self) -> Counter[str]:
        """Count the runs by state."""
        return Counter(run.state for run in self.runs)

    @property
    def failures(self) -> list[RunStatus]:
        """Return the runs that failed, the last failure first."""
        failed = [run for run in self.runs if run.state == FAILED and run.failure]
        return sorted(failed, key=lambda run: run.failure.ended if run.failure else "", reverse=True)

    def as_json(self) -> dict[str, Any]:
        """Return the status as data for JSON; times in days, sizes in bytes."""
        return {
            "states": {state: self.states[state] for state in STATES},
            "experiments": [experiment.as_json() for experiment in self.experiments],
            "slurm": {"here": self.queue.present, "answered": self.queue.jobs is not None},
            "unsynced_rows": sum(run.unsynced_rows for run in self.runs),
            "unsynced_bytes": sum(run.unsynced_bytes for run in self.runs),
            "oldest_unsynced": str(self.oldest.file) if self.oldest else None,
            "oldest_unsynced_days": round(self.oldest.days, 1) if self.oldest else None,
            "purge_days": self.oldest.purge_days if self.oldest else None,
            "failures": [
                {
                    "run": run.id,
                    "name": run.name,
                    "experiment": run.experiment,
                    "why": run.failure.why,
                    "message": run.failure.message,
                    "ended": run.failure.ended or None,
                    "log": str(run.failure.log),
                    "last_lines": list(run.failure.last_lines),
                }
                for run in self.failures
                if run.failure
            ],
            "damaged": self.damaged,
            "cleaned_segments": self.cleaned,
        }


def _number(value: float | None) -> float | str | None:
    # JSON has no NaN and no infinities.
    return value if value is None or math.isfinite(value) else str(value)
