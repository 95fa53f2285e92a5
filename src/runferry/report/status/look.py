"""Read the status of runs from the disk and Slurm's queue. Nothing is sent and no server is asked."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.config.names import SWEEP_FILE
from runferry.errors import RunferryError, SegmentError
from runferry.report.status.model import ExperimentStatus, Failure, Metric, RunStatus, Status
from runferry.report.status.purge import Oldest, finders
from runferry.report.status.queue import Asking
from runferry.report.status.segments import SegmentCounts, last_value
from runferry.runs import reasons
from runferry.runs.attempt_record import AttemptRecord
from runferry.runs.folder import listed_names
from runferry.runs.log import last_lines, read_tail
from runferry.runs.read_position import ReadPosition
from runferry.runs.receipt import holds
from runferry.runs.receipt_record import Receipt
from runferry.runs.state import DONE, FAILED, RUNNING, UNSYNCED, WAITING, last_attempt, states_of
from runferry.system.files import read_json
from runferry.system.values import is_mapping
from runferry.trackers.registry import given_base_url, logs_to_wandb
from runferry.trackers.wandb.deleted import read_all_cleaned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.report.status.queue import QueuedRuns
    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord

LINES_OF_A_LOG = 5
"""Of a failed run, that are shown."""
_UNREADABLE = (RunferryError, OSError, ValueError, KeyError, TypeError)


@dataclass
class Looking:
    """Reads the status of runs, as often as asked; unchanged files are not read again.

    Attributes
    ----------
    metric : str or None
        What is shown of each run; None leaves it to each experiment's sweep.
    asking : Asking
        How often Slurm may be asked.
    """

    metric: str | None = None
    asking: Asking = field(default_factory=Asking)
    _counts: dict[Path, SegmentCounts] = field(default_factory=dict["Path", SegmentCounts])
    _values: dict[Path, tuple[float, float | None]] = field(default_factory=dict["Path", tuple[float, float | None]])

    def look(self, folders: Sequence[RunFolder]) -> Status:
        """Return the status of some runs."""
        groups: dict[Path, list[RunFolder]] = {}
        for folder in folders:
            groups.setdefault(folder.path.resolve().parent, []).append(folder)
        found = Status([], self.asking.queue())
        jobs = found.queue.jobs_of(groups)
        logs: list[tuple[float, Path]] = []
        metrics = {experiment: self._metric(experiment) for experiment in groups}
        found.experiments = [
            ExperimentStatus(
                name=experiment.name,
                folder=ours[0].path.parent,
                runs=self._runs(experiment, ours, found, logs, metrics[experiment]),
                jobs=[each for each in jobs if each.experiment == experiment.name],
                metric=metrics[experiment],
            )
            for experiment, ours in groups.items()
        ]
        found.oldest = Oldest.of(logs)
        for counts in self._counts.values():
            counts.save()
        return found

    def _runs(
        self,
        experiment: Path,
        folders: Sequence[RunFolder],
        found: Status,
        logs: list[tuple[float, Path]],
        metric: Metric | None,
    ) -> list[RunStatus]:
        names = listed_names(experiment)
        states = states_of(experiment, [folder.path.name for folder in folders])
        if experiment.parent not in self._counts:
            self._counts[experiment.parent] = SegmentCounts(experiment.parent)
        counts = self._counts[experiment.parent]
        runs: list[RunStatus] = []
        for folder in folders:
            state, why = states[folder.path.name]
            if state == WAITING and not folder.path.exists():
                # The user has deleted it, or it was never written.
                run = folder.path.name
                runs.append(RunStatus(run, names.get(run, run), experiment.name, state))
                continue
            try:
                looking = _LookingAtRun(folder, found, counts, logs)
                runs.append(looking.look(state, why, metric.name if metric else None, self._values))
            except _UNREADABLE as error:
                found.damaged[str(folder.path)] = str(error)
                runs.append(RunStatus(folder.path.name, folder.path.name, experiment.name, state))
        return runs

    def _metric(self, experiment: Path) -> Metric | None:
        sweep: Any = {}
        with suppress(OSError, ValueError):
            sweep = read_json(experiment / SWEEP_FILE)
        given: Any = sweep.get("metric") if is_mapping(sweep) else None
        own = Metric(str(given["name"]), given.get("goal", "minimize")) if is_mapping(given) else None
        if self.metric is None or (own and own.name == self.metric):
            return own
        return Metric(self.metric)


@dataclass
class _LookingAtRun:
    folder: RunFolder
    found: Status
    counts: SegmentCounts
    logs: list[tuple[float, Path]]

    def look(
        self, state: str, why: str | None, metric: str | None, values: dict[Path, tuple[float, float | None]]
    ) -> RunStatus:
        run = self.folder.read_run()
        base_url = given_base_url(run)
        held = holds(self.folder, base_url)
        state, failure = self._state(state, why, held=held, adopted=run.adopted)
        logs = self._logs(run, report=not held)
        changed = max(logs.values(), default=0.0)
        rows = size = 0
        if held:
            self._add_receipt()
        elif logs_to_wandb(run):
            rows, size = self._unsynced(logs, base_url, growing=state == RUNNING)
        else:
            # How much is not there yet; what can be read of it, the sync says.
            size = sum(file.stat().st_size for file in logs)
            self.logs += [(changed, file) for file, changed in logs.items()]
        value = None
        if metric and logs and logs_to_wandb(run):
            # Every row changes the file.
            before = values.get(self.folder.path)
            value = before[1] if before and before[0] == changed else last_value(self.folder, metric)
            values[self.folder.path] = changed, value
        name, experiment = run.name or run.id, self.folder.path.resolve().parent.name
        return RunStatus(self.folder.path.name, name, experiment, state, failure, value, changed, rows, size)

    def _state(self, state: str, why: str | None, *, held: bool, adopted: bool) -> tuple[str, Failure | None]:
        """Say more exactly what the names of the files said."""
        if state in {UNSYNCED, DONE} or (state == WAITING and adopted):
            return (DONE if held else UNSYNCED), None
        if state == RUNNING and _is_lost(self.folder, self.found.queue):
            state, why = FAILED, reasons.LOST
        if state == FAILED:
            return FAILED, _failure(self.folder, why or reasons.FAILED)
        return state, None

    def _logs(self, run: RunRecord, *, report: bool) -> dict[Path, float]:
        """Give the run's transaction logs with the times of their last changes; what has none is `damaged`."""
        logs: dict[Path, float] = {}
        for find in finders(self.folder, run):
            try:
                file = find()
                logs[file] = file.stat().st_mtime
            except (SegmentError, OSError) as error:
                if report:
                    self.found.damaged[str(find.args[0])] = str(error)
        return logs

    def _add_receipt(self) -> None:
        receipt = Receipt.read(self.folder.receipt_file)
        self.found.cleaned += sum(1 for segment in receipt.segments if segment.cleaned)
        self.found.damaged |= {str(self.folder.wandb_folder / name): why for name, why in receipt.unreadable.items()}

    def _unsynced(self, logs: dict[Path, float], base_url: str | None, *, growing: bool) -> tuple[int, int]:
        """Count the rows, and the bytes of logs, that the server is not known to have."""
        rows = size = 0
        for file, changed in logs.items():
            count = self.counts.of(file.resolve(), growing=growing)
            rows, size = rows + count.rows, size + count.size_bytes
            self.logs.append((changed, file))
            if count.damage and not growing:
                self.found.damaged[str(file.parent)] = count.damage
        # What was deleted here after the server had it counts on both sides.
        deleted = sum(cleaned.history_lines for cleaned in read_all_cleaned(self.folder).values())
        return max(rows + deleted - max(_rows_there(self.folder, base_url), deleted), 0), size


def _rows_there(folder: RunFolder, base_url: str | None) -> int:
    """Return how many rows the server has of a run, by a receipt of before or by what live sync has sent."""
    there = 0
    with suppress(OSError, ValueError):
        receipt = Receipt.read(folder.receipt_file)
        there = sum(run.server.history_lines for run in receipt.each_wandb_run) if receipt.is_for(base_url) else 0
    sent = ReadPosition.read(folder)
    return max(there, sent.rows) if sent else there


def _is_lost(folder: RunFolder, queue: QueuedRuns) -> bool:
    """Tell whether the job of an attempt that says that it runs is gone from the user's queue."""
    active = queue.active
    attempt = last_attempt(folder)
    if active is None or attempt is None or not attempt.job:
        return False
    # Another user's jobs are not in this queue.
    return attempt.job not in active and folder.attempts_folder.stat().st_uid == os.getuid()


def _failure(folder: RunFolder, why: str) -> Failure:
    attempt = last_attempt(folder) or AttemptRecord()
    lines: list[str] = []
    with suppress(OSError):
        lines = last_lines(read_tail(folder.log_file), LINES_OF_A_LOG)
    return Failure(why, attempt.message, attempt.end or "", folder.log_file, lines)
