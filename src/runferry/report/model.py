"""Define the content of a report: experiments, runs, attempts and curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from runferry.runs.ending import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from runferry.config.search.history import SearchHistory
    from runferry.report.goals import Goal
    from runferry.report.media import Media
    from runferry.runs.attempt_record import AttemptRecord
    from runferry.runs.job_usage import JobUsage


NOTHING = "\N{EN DASH}"
"""Stands where there is nothing to say."""


@dataclass
class AttemptReport:
    """One attempt of a run.

    Attributes
    ----------
    number : int
    start, end : datetime or None
        `end` of one that runs is the moment of the report.
    outcome : str
        As the record has it.
    why : str
        Why it ended, in words: "finished", "time limit", "exit code 1".
    host, job : str
        Empty where they are not known.
    cpu_seconds, peak_memory : float or None
        Of the command and what it started, by the launcher's own account: seconds, and bytes of the largest process.
    usage : JobUsage or None
        Of its job, by Slurm's accounting.
    shared : bool
        Whether other runs had the job too, so that `usage` is theirs together.
    """

    number: int
    start: datetime | None
    end: datetime | None
    outcome: str
    why: str
    host: str = ""
    job: str = ""
    cpu_seconds: float | None = None
    peak_memory: float | None = None
    usage: JobUsage | None = None
    shared: bool = False

    @property
    def under_way(self) -> bool:
        """Return whether the attempt has not ended."""
        return self.outcome in UNDER_WAY

    @property
    def kind(self) -> str:
        """Return the state that sets the colour of the attempt's bar."""
        return "running" if self.under_way else self.outcome if self.outcome in {"finished", "failed"} else "ended"

    @property
    def seconds(self) -> float | None:
        """Return the seconds from the attempt's start to its end; None where one of them is not known."""
        return (self.end - self.start).total_seconds() if self.start and self.end else None


def ending(record: AttemptRecord) -> str:
    """Return how an attempt that did not finish ended: "SIGKILL", "exit code 1", "could not be started"."""
    if record.signal:
        return record.signal
    if record.exit_code is not None:
        return f"exit code {record.exit_code}"
    return "could not be started" if record.outcome == "failed" else ""


State = Literal["finished", "failed", "running", "not started"]


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
    lowest, highest : tuple or None
        The lowest and highest finite value of all that were logged, each with its step.
    lost : tuple or None
        The step since which no value is finite, and "NaN" or "infinite"; None where the last value is finite.
    """

    steps: list[int]
    values: list[float | None]
    logged: int
    last: float
    lowest: tuple[float, int] | None = None
    highest: tuple[float, int] | None = None
    lost: tuple[int, str] | None = None

    def thinned(self, most: int) -> Curve:
        """Return the curve with at most `most` points, its peaks kept."""
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


@dataclass
class RunReport:
    """One run of the experiment.

    Attributes
    ----------
    id, name : str
        The W&B run id, and what W&B shows.
    parameters : dict
        By name, as the sweep gives them; nested ones joined with dots.
    config : dict
        What the command recorded with W&B besides.
    state : State
        By the run's attempts; without any, by its segments.
    ending : str
        How the last attempt ended where it failed, such as "exit code 1" or "SIGKILL".
    message : str
        What the last attempt said of its end, where it failed; empty where it said nothing.
    notes : list of str
        Lines for the user: why it failed, what cannot be read.
    attempts : list of AttemptReport
    seconds : float or None
        That the attempts took together; a running one up to now.
    curves : dict of str to Curve
        By metric.
    clock : list of (int, float)
        Steps, and the seconds of training at them.
    system : dict of str to SystemCurve
        What wandb measured of the machine, by its name.
    final : dict of str to float
        The summary's numbers, by metric.
    url : str or None
        Of the run on the server.
    verified : datetime or None
        When the receipt was written; None where there is none.
    receipt_is_old : bool
        Whether a segment was written that the receipt does not name.
    within : str
        The id of the run in whose job this further W&B run was made; empty for a run of the experiment.
    gpus : int
        That the run asked for, on all its nodes.
    media : dict
        Name -> the images, table and so on that were logged last, and the folder of their files.
    in_sweep : bool
        Whether the experiment still has this run; a changed sweep leaves the folders of its old runs behind.
    """

    id: str
    name: str
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    project: str = ""
    entity: str = ""
    state: State = "not started"
    ending: str = ""
    message: str = ""
    notes: list[str] = field(default_factory=list[str])
    attempts: list[AttemptReport] = field(default_factory=list[AttemptReport])
    seconds: float | None = None
    curves: dict[str, Curve] = field(default_factory=dict[str, Curve])
    clock: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    system: dict[str, SystemCurve] = field(default_factory=dict[str, SystemCurve])
    final: dict[str, float] = field(default_factory=dict[str, float])
    url: str | None = None
    verified: datetime | None = None
    receipt_is_old: bool = False
    in_sweep: bool = True
    within: str = ""
    gpus: int = 0
    media: dict[str, tuple[Media, Path]] = field(default_factory=dict[str, "tuple[Media, Path]"])

    def best(self, metric: str, *, maximize: bool) -> tuple[float, int | None] | None:
        """Return the best finite value of a metric and its step; None where the run has none."""
        curve, last = self.curves.get(metric), self.final.get(metric)
        if curve is not None:
            return curve.highest if maximize else curve.lowest
        return (last, None) if last is not None and math.isfinite(last) else None

    @property
    def lost(self) -> dict[str, tuple[int, str]]:
        """Return the metrics that are NaN or infinite at the end: since which step, and which of the two."""
        return {metric: curve.lost for metric, curve in self.curves.items() if curve.lost}

    @property
    def given(self) -> dict[str, Any]:
        """Return config and parameters together."""
        return {**self.config, **self.parameters}


@dataclass(frozen=True)
class ExperimentReport:
    """All runs of an experiment at one moment.

    Attributes
    ----------
    name : str
    built : datetime
        When this was read, UTC.
    folder : Path
        `results/<experiment>`.
    runs : list of RunReport
        In the order of the sweep; further W&B runs of a run's job follow it.
    metrics : list of str
        Of which there are curves: those of the goals, then by name; those that only count up, as an epoch does, last.
    finals : list of str
        Of which there are final values: the metrics, and what only the summary has.
    differing : list of str
        The parameters, and other entries of the runs' config, that tell the runs apart.
    shared : dict
        Those that all runs have in common.
    thinned : bool
        Whether some curve has fewer points than were logged.
    counters : set of str
        The metrics that only count, as an epoch does.
    goals : list of Goal
        By which the runs are compared: the sweep's own, else one that is guessed; empty where none can be.
    search : SearchHistory or None
        What each point of a search gave, in the order in which points were asked for.
    """

    name: str
    folder: Path
    built: datetime
    runs: list[RunReport]
    metrics: list[str]
    finals: list[str]
    differing: list[str]
    shared: dict[str, Any]
    thinned: bool
    counters: set[str] = field(default_factory=set[str])
    goals: list[Goal] = field(default_factory=list["Goal"])
    search: SearchHistory | None = None

    @property
    def own(self) -> list[RunReport]:
        """Return the runs of the experiment, without further W&B runs of their jobs."""
        return [run for run in self.runs if not run.within]


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
