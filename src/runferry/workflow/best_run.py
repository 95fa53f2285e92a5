"""Read from disk how runs ended and which values they reached, to choose the next runs and the best one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.config.best_record import BestRecord
from runferry.config.names import BEST_FILE
from runferry.config.needs import check_needs
from runferry.errors import LaunchError, SegmentError
from runferry.runs import reasons
from runferry.runs.folder import RunFolder, listed_runs
from runferry.runs.state import State, last_attempt, state_of
from runferry.system.values import is_mapping
from runferry.trackers.wandb.log.segment import history, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runferry.config.experiment import Experiment


@dataclass(frozen=True)
class Result:
    """The state of a run and its values of a metric."""

    run: str
    state: State
    values: list[float] = field(default_factory=list[float])
    """Of the metric: all finite ones that were logged, then the summary's."""

    def best(self, goal: str) -> float | None:
        """Return the best value; None where the run has no value."""
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
    """Write `best.json`, which names the run of an experiment that other experiments use.

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
    file = experiment / BEST_FILE
    runs = list(runs)
    if metric is None or len(runs) == 1:
        BestRecord(runs[0]).write(file)
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
    BestRecord(run, metric["name"], goal, value, len(runs)).write(file)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def unmet_needs(results: Path, experiments: Mapping[str, Experiment]) -> list[str]:
    """Return one line for each experiment that was not started: why not, and which log to look into.

    Parameters
    ----------
    results
        The folder of the experiments' folders.
    experiments
        By name.
    """
    why: dict[str, str] = {}
    for name in check_needs({name: one.needs for name, one in experiments.items()}):
        for needed in experiments[name].needs:
            if needed in why:
                why[name] = f"it needs {needed}, which was not started either"
            elif not (results / needed / BEST_FILE).exists() and (failed := _failed(results / needed)):
                count = experiments[needed].chosen_count or len(experiments[needed].runs)
                found = f"{len(failed)} of {count} runs failed" if count > 1 else "its run failed"
                why[name] = f"it needs {needed}, of which {found}; see {failed[0].log_file}"
    return [f"{name}: not started, because {reason}" for name, reason in why.items()]


def _failed(experiment: Path) -> list[RunFolder]:
    """List the runs that have ended for a fault of their own."""
    try:
        folders = [RunFolder(experiment / run) for run in listed_runs(experiment)]
    except FileNotFoundError:
        return []
    ended = {folder: last_attempt(folder) for folder in folders if not folder.trained_file.exists()}
    return [folder for folder, attempt in ended.items() if attempt and attempt.reason in reasons.OWN_FAULT]
