"""Word the last lines of a start: how many runs are verified, which is best, where the report is, what failed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.report.status.look import Looking
from runferry.runs.folder import RunFolder, find_run_folders
from runferry.runs.receipt_record import Receipt
from runferry.runs.state import DONE, FAILED, UNSYNCED
from runferry.system.text import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runferry.config.experiment import Experiment
    from runferry.report.status.model import ExperimentStatus, Status

_MOST_FAILURES = 3
_MOST_EXPERIMENTS = 10


def last_lines(results: Path, experiments: Mapping[str, Experiment], *, again: str, succeeded: bool) -> list[str]:
    """Return what a user wants to know at the end of a start; nothing where there is no run.

    Parameters
    ----------
    results
        The folder of the experiments.
    experiments
        Those of the config, by name.
    again
        The command that starts the same again.
    succeeded
        Whether everything that was wanted is done.
    """
    folders = [folder for name, one in experiments.items() for folder in _folders(results / name, one)]
    step = f"fix what failed, then run: {again}"
    if not folders:
        return [] if succeeded else [f"no run was started; {step}"]
    status = Looking().look(folders)
    lines = [line for experiment in status.experiments[:_MOST_EXPERIMENTS] for line in _lines_of(experiment)]
    if len(status.experiments) > _MOST_EXPERIMENTS:
        lines.append(f"and {len(status.experiments) - _MOST_EXPERIMENTS} more experiments; run: runferry status")
    if succeeded:
        return lines
    return [*lines, *_failures(status), f"what is done is kept; {step}"]


def _folders(experiment: Path, planned: Experiment) -> list[RunFolder]:
    if planned.chosen_count:
        with suppress(ConfigError):
            return find_run_folders(experiment)
        return []
    folders = [RunFolder(experiment / run) for run in planned.runs]
    return [folder for folder in folders if folder.run_file.exists()]


def _lines_of(experiment: ExperimentStatus) -> list[str]:
    verified, count = experiment.states[DONE], len(experiment.runs)
    line = f"{experiment.name}: {verified} of {count_of(count, 'run')} verified on the server"
    others = [(experiment.states[UNSYNCED], "not on the server yet"), (experiment.states[FAILED], "failed")]
    line += "".join(f", {number} {what}" for number, what in others if number)
    lines = [line]
    # A training that broke off may have been ahead of the others.
    best = replace(experiment, runs=[run for run in experiment.runs if run.state in {DONE, UNSYNCED}]).best
    if best is not None and experiment.metric is not None:
        # The name of a run is its parameters, unless the user gave it another.
        link = _link(RunFolder(experiment.folder / best.id))
        lines.append(f"{experiment.name}: best {experiment.metric.name} {best.value:.6g} ({best.name}){link}")
    elif verified:
        newest = max(experiment.runs, key=lambda run: (run.state == DONE, run.changed))
        lines.append(f"{experiment.name}: {newest.name}{_link(RunFolder(experiment.folder / newest.id))}")
    if (report := experiment.folder / "report.html").exists():
        lines.append(f"{experiment.name}: report {report}")
    return lines


def _link(folder: RunFolder) -> str:
    """Return the run's address on the server, which its receipt has; nothing without one."""
    with suppress(OSError, ValueError):
        return f": {Receipt.read(folder.receipt_file).url}"
    return ""


def _failures(status: Status) -> Sequence[str]:
    lines = [
        f"{run.experiment}: {run.name} failed ({run.failure.why}"
        + (f": {run.failure.message}" if run.failure.message else "")
        + f"); see {run.failure.log}"
        for run in status.failures[:_MOST_FAILURES]
        if run.failure
    ]
    more = len(status.failures) - _MOST_FAILURES
    return [*lines, f"and {more} more failed; run: runferry status"] if more > 0 else lines
