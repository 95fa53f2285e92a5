"""How a run ended and what it reached, from what is on disk: for the choice of the next runs, and of the best one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from runferry.attempt import UNDER_WAY
from runferry.errors import ConfigError, LaunchError, SegmentError
from runferry.files import write_json
from runferry.json_values import is_mapping
from runferry.run_folder import RunFolder, listed_runs
from runferry.segment import history, read_segment
from runferry.under_way import last_attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

State = Literal["finished", "failed", "running", "pending"]
"""W&B's words."""


@dataclass(frozen=True)
class Result:
    """What a run has to show."""

    run: str
    state: State
    values: list[float] = field(default_factory=list[float])
    """Of the metric: all finite ones that were logged, then the summary's."""

    def best(self, goal: str) -> float | None:
        """Return the best value; None where there is none."""
        if not self.values:
            return None
        return max(self.values) if goal == "maximize" else min(self.values)


def read_result(folder: RunFolder, metric: str) -> Result:
    """Read a run's state, and the values of a metric; what cannot be read of a segment is left out."""
    values: list[float] = []
    for path in folder.segments():
        try:
            rows = [row[metric] for row in history(path) if metric in row]
            summary: Any = read_segment(path).summary
        except SegmentError:
            continue
        for key in metric.split("."):
            summary = summary.get(key) if is_mapping(summary) else None
        values += [float(value) for value in [*rows, summary] if _is_finite(value)]
    return Result(folder.path.name, state_of(folder), values)


def write_best(experiment: Path, runs: Iterable[str], metric: Mapping[str, Any] | None) -> None:
    """Write `best.json`: which of an experiment's runs another one goes on with.

    Parameters
    ----------
    experiment
        `results/<experiment>`.
    runs
        The ids of its runs.
    metric
        `name` and `goal`; None where there is one run only.

    Raises
    ------
    LaunchError
        When no run finished with a value of the metric.
    """
    from runferry.experiment import BEST_FILE

    file = experiment / BEST_FILE
    runs = list(runs)
    if metric is None or len(runs) == 1:
        write_json(file, {"run": runs[0], "of": 1})
        return
    goal = metric.get("goal", "minimize")
    results = [read_result(RunFolder(experiment / run), metric["name"]) for run in runs]
    found = [
        (best, result.run)
        for result in results
        if (best := result.best(goal)) is not None and result.state == "finished"
    ]
    if not found:
        message = f"{experiment}: found no run that finished with a value of {metric['name']}, expected one"
        raise LaunchError(message)
    value, run = (max if goal == "maximize" else min)(found)
    write_json(file, {"run": run, "metric": metric["name"], "goal": goal, "value": value, "of": len(runs)})


def state_of(folder: RunFolder) -> State:
    """Say how a run is, in W&B's word for it."""
    if folder.trained_file.exists():
        return "finished"
    attempt = last_attempt(folder)
    if attempt is None:
        return "pending"
    return "running" if attempt.get("outcome") in UNDER_WAY else "failed"


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def runs_of(experiment: Path) -> list[str]:
    """List the ids of an experiment's runs, as its table says.

    Raises
    ------
    ConfigError
        When there is no table.
    """
    try:
        return listed_runs(experiment)
    except FileNotFoundError as error:
        message = f"{experiment}: found no runs.tsv in it, expected an experiment's folder, as in results/<experiment>"
        raise ConfigError(message) from error
