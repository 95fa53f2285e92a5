"""Format a status for a user: one screen of lines."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.report.status.queue import queue_in_words
from runferry.runs.state import FAILED, STATES, UNSYNCED
from runferry.system.text import aligned, count_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from runferry.report.status.model import ExperimentStatus, RunStatus, Status

MOST_EXPERIMENTS = 20
MOST_FAILURES = 5
MOST_DAMAGED = 5


@dataclass(frozen=True)
class Style:
    """Marks important text; leaves it as it is where colours are not wanted."""

    colours: bool

    @classmethod
    def of(cls, stream: IO[str]) -> Style:
        """Choose the style of a stream: colours for a terminal only, and not where `NO_COLOR` is set (no-color.org)."""
        return cls(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def bold(self, text: str) -> str:
        """Mark a heading."""
        return self._marked(text, 1)

    def faint(self, text: str) -> str:
        """Mark a detail."""
        return self._marked(text, 2)

    def red(self, text: str) -> str:
        """Mark a failure."""
        return self._marked(text, 31)

    def yellow(self, text: str) -> str:
        """Mark a line that asks the user to act."""
        return self._marked(text, 33)

    def _marked(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours else text


def lines(status: Status, style: Style) -> list[str]:
    """Format a status as lines."""
    return [
        *_table(status, style),
        _queue(status),
        *_unsynced(status, style),
        *_failures(status, style),
        *_damaged(status, style),
    ]


def _table(status: Status, style: Style) -> list[str]:
    with_metric = any(experiment.metric for experiment in status.experiments)
    shown = list(status.experiments[:MOST_EXPERIMENTS])
    rows = [("", "runs", *STATES, *(("last value",) if with_metric else ()))]
    rows += [(*_row(each.name, [each]), *((_metric(each),) if with_metric else ())) for each in shown]
    if len(status.experiments) > 1:
        rows.append((*_row("total", status.experiments), *(("",) if with_metric else ())))
    header, *found = aligned(rows, left=(0, len(rows[0]) - 1) if with_metric else (0,))
    if len(status.experiments) > len(shown):
        more = len(status.experiments) - len(shown)
        found.insert(-1, f"and {count_of(more, 'more experiment')}; runferry status --json lists all")
    return [style.bold(header), *found]


def _row(name: str, experiments: Sequence[ExperimentStatus]) -> tuple[str, ...]:
    counts = [sum(len(each.runs) for each in experiments)]
    counts += [sum(each.states[state] for each in experiments) for state in STATES]
    return (name, *(f"{count:,}" for count in counts))


def _metric(experiment: ExperimentStatus) -> str:
    if experiment.metric is None:
        return ""
    newest, best = experiment.newest, experiment.best
    if newest is None:
        return f"{experiment.metric.name}: none yet"
    parts = [f"{newest.value:.4g} ({newest.id})"]
    if best is not None and best is not newest:
        parts.append(f"best {best.value:.4g} ({best.id})")
    return f"{experiment.metric.name} {', '.join(parts)}"


def _queue(status: Status) -> str:
    if not status.queue.present:
        return "queue: there is no Slurm on this machine (no squeue), so that runs are seen by their folders only"
    if status.queue.jobs is None:
        return "queue: Slurm does not answer; states are those of the runs' folders"
    jobs = [job for experiment in status.experiments for job in experiment.jobs]
    return f"queue: {queue_in_words(jobs) if jobs else 'no job of these experiments'}"


def _unsynced(status: Status, style: Style) -> list[str]:
    found: list[str] = []
    if status.cleaned:
        found.append(f"{count_of(status.cleaned, 'segment')} deleted here; the server has them")
    oldest = status.oldest
    if oldest is None:
        return found
    some = [run for run in status.runs if run.unsynced_bytes]
    rows, size = sum(run.unsynced_rows for run in some), sum(run.unsynced_bytes for run in some)
    found.append(
        f"not on the server yet: {count_of(rows, 'record')} in {_bytes(size)} of {count_of(len(some), 'run')}, "
        f"the oldest written to {oldest.days:.0f} days ago ({oldest.file})"
    )
    if warning := oldest.warning():
        found.append(style.red(warning))
    elif any(run.state in {UNSYNCED, FAILED} for run in some):
        folders = [str(each.folder) for each in status.experiments]
        if len({each.folder.parent for each in status.experiments}) == 1:
            folders = [os.path.commonpath(folders)]
        named = shlex.join(folders)
        found.append(style.yellow(f"to sync what has ended, run: runferry sync --if-any {named}"))
    return found


def _failures(status: Status, style: Style) -> list[str]:
    failures = status.failures
    found: list[str] = []
    for run in failures[:MOST_FAILURES]:
        found += _failure(run, style)
    if len(failures) > MOST_FAILURES:
        found.append(f"and {len(failures) - MOST_FAILURES} more failed; runferry status --json lists all")
    return found


def _failure(run: RunStatus, style: Style) -> list[str]:
    failure = run.failure
    if failure is None:
        return []
    message = f": {failure.message}" if failure.message else ""
    found = [f"{style.red(failure.why)}: {run.experiment}/{run.id} ({run.name}){message}"]
    # The message often is the last line.
    lines = [line for line in failure.last_lines if line != failure.message]
    found += [style.faint(f"    | {line}") for line in lines]
    return [*found, f"    all of it: {failure.log}"]


def _damaged(status: Status, style: Style) -> list[str]:
    shown = list(status.damaged.items())[:MOST_DAMAGED]
    found = [f"{style.yellow('damaged')}: {path}: {why}" for path, why in shown]
    if len(status.damaged) > len(shown):
        found.append(f"and {len(status.damaged) - len(shown)} more that cannot be read whole; --json lists them")
    return found


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
