"""Write the record of one attempt, `attempts/<n>.json`: where and when it ran, how and why it ended."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runferry.errors import RunferryError
from runferry.runs import reasons
from runferry.runs.attempt_record import AttemptRecord, Used
from runferry.runs.ending import Ending, signal_name
from runferry.runs.folder import RunFolder
from runferry.system.files import link_atomically, write_json, write_new
from runferry.system.processes import start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from runferry.runs.attempt_record import CodeEntry

#: Tells the command, and the launchers of several nodes, the number of the attempt.
ATTEMPT_VARIABLE = "RUNFERRY_ATTEMPT"


@dataclass
class Attempt:
    """An attempt that has begun, and its record.

    The record says "waiting" where there were earlier attempts, then "running", until `end`.

    Attributes
    ----------
    folder
        The run's folder.
    number
        From 1; no two attempts of a run share one.
    record
        The content of `attempts/<number>.json`.
    list_segments
        Lists all segments of the run: its tracker's (`runferry.trackers.tracker.TrackerInJob.segments`).
    segments_before
        Names of the segments of earlier attempts.
    """

    folder: RunFolder
    number: int
    record: AttemptRecord
    list_segments: Callable[[RunFolder], list[Path]]
    _clock: float = field(default_factory=time.monotonic)
    segments_before: frozenset[str] = frozenset()
    used_elsewhere: Used = field(default_factory=Used)
    """What tasks used that are no children of this process."""
    _written_here: bool = True

    @classmethod
    def of_another_process(
        cls, folder: RunFolder, number: int, list_segments: Callable[[RunFolder], list[Path]]
    ) -> Attempt:
        """Return an attempt whose record the launcher of another node writes; nothing is written here."""
        before = _names(list_segments(folder))
        return cls(folder, number, AttemptRecord(number), list_segments, segments_before=before, _written_here=False)

    @classmethod
    def begin(
        cls,
        folder: RunFolder,
        command: Sequence[str],
        list_segments: Callable[[RunFolder], list[Path]] = RunFolder.segments,
        alternative: str | None = None,
    ) -> Attempt:
        """Take the next number and write the record.

        Raises
        ------
        OSError
            When the record cannot be written.
        """
        number = max(folder.attempt_numbers(), default=0) + 1
        record = AttemptRecord(
            attempt=number,
            host=os.uname().nodename,
            job=os.environ.get("SLURM_JOB_ID"),
            alternative=alternative or None,
            pid=os.getpid(),
            pid_start=start_of(os.getpid()),
            command=tuple(command),
            start=_now(),
            # The first of all has none to wait for.
            outcome="running" if number == 1 else "waiting",
        )
        while not write_new(folder.attempts_folder / f"{number}.json", record.text):
            number += 1
            record = replace(record, attempt=number, outcome="waiting")
        return cls(folder, number, record, list_segments, segments_before=_names(list_segments(folder)))

    def set_outcome(self, outcome: str) -> None:
        """Write the outcome of an attempt that has not ended, one of `UNDER_WAY`."""
        self.record = replace(self.record, outcome=outcome)
        self._write()

    def runs_in(self, environment: str | None, wandb: str | None) -> None:
        """Write into the record which environment, and which wandb, the command runs with."""
        self.record = replace(self.record, environment=environment, wandb=wandb)
        if self._written_here:
            self._write()

    def runs_code(self, code: CodeEntry | None) -> None:
        """Put into the record which code the command is (`runferry.runs.code.CodeState.as_record`)."""
        self.record = replace(self.record, code=code or self.record.code)

    def segments(self) -> list[str]:
        """List the names of the segments that this attempt has begun, in order."""
        names = [segment.name for segment in self.list_segments(self.folder)]
        return [name for name in names if name not in self.segments_before]

    def counts_as_earlier(self) -> None:
        """Count the segments that are in the run's folder now as those of earlier attempts."""
        self.segments_before = _names(self.list_segments(self.folder))

    def logged(self, rows: Mapping[str, int | None], missing: Sequence[str]) -> None:
        """Put into the record how many rows were logged, by segment, and lines about what is missing of them."""
        known = self.record
        self.record = replace(known, rows=dict(rows) or known.rows, missing=tuple(missing) or known.missing)

    def end(self, ending: Ending) -> None:
        """Write how the attempt ended; where it finished write `trained.json` too, after it.

        A command that finished and wrote no segment has `trained.json` as well: it did what it was asked to do.
        That there is nothing to sync is said in `message`.
        """
        if not self._written_here:
            return
        self.record = replace(
            self.record,
            end=_now(),
            seconds=round(time.monotonic() - self._clock, 3),
            outcome=ending.outcome,
            reason=ending.reason or _REASONS.get(ending.outcome),
            exit_code=ending.exit_code,
            signal=None if ending.signal is None else signal_name(ending.signal),
            passed_on=tuple(signal_name(number) for number in ending.passed_on),
            segments=tuple(self.segments()),
            message=ending.message,
            pruned=ending.pruned,
            used=used_by_children() + self.used_elsewhere,
        )
        if ending.outcome == "finished":
            # What is wrong with its record is said below: how it ended is written first.
            with suppress(RunferryError, OSError, ValueError, KeyError):
                self.record = replace(self.record, run=self.folder.read_run().id)
        self._write()
        if ending.outcome == "finished":
            write_trained(self.folder, self.record)

    def _write(self) -> None:
        self.record.write(self.folder.attempts_folder / f"{self.number}.json")


def write_trained(folder: RunFolder, record: AttemptRecord) -> None:
    """Write a run's `trained.json`: a second name of the record of the attempt that finished.

    A site counts files, and this is one less a run. Where the filesystem has no hard links it is a copy.
    """
    if record.run is not None:
        with suppress(OSError):
            link_atomically(folder.trained_file, folder.attempts_folder / f"{record.attempt}.json")
            return
    write_json(folder.trained_file, {"run": folder.read_run().id, **record.to_json()})


def finished_in_this_job(folder: RunFolder) -> AttemptRecord | None:
    """Return the record of the run's last attempt if it finished in this process's Slurm job, else None.

    Slurm may run a job again whose training ended while it was being requeued.
    """
    job = os.environ.get("SLURM_JOB_ID")
    attempts = folder.attempts() if job else []
    if attempts and attempts[-1].job == job and attempts[-1].outcome == "finished":
        return attempts[-1]
    return None


_REASONS = {"failed": reasons.FAILED, "killed": reasons.KILLED}


def used_by_children() -> Used:
    """Return what the processes that this one waited for used, and theirs (getrusage(2); KiB on Linux)."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Used(round(used.ru_utime + used.ru_stime, 2), used.ru_maxrss * 1024)


def _names(segments: list[Path]) -> frozenset[str]:
    return frozenset(segment.name for segment in segments)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
