"""Record the end of attempts that could not do so themselves, and decide whether a run has another attempt.

An attempt that was killed together with its launcher leaves a record that says "running". Slurm knows what became of
its job; what it says is written into the record by whoever comes next: the controller when the job has ended, the
next attempt, a `runferry sync` typed by hand.
"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runferry.runs import reasons, slurm
from runferry.runs.ending import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runferry.runs.attempt_record import AttemptRecord
    from runferry.runs.folder import RunFolder

# Slurm's word counts more than what the processes of the job saw of their end: a signal, that something failed, that
# the job was being ended, which a preempted one is too.
_UNSURE = frozenset(
    {reasons.STOPPED, reasons.KILLED, reasons.FAILED, reasons.LOST, reasons.REQUEUED, reasons.CANCELLED}
)


def should_continue(folder: RunFolder) -> bool:
    """Return whether a run is not trained and its last attempt ended through no fault of the training."""
    attempts = folder.attempts()
    return bool(attempts) and not folder.trained_file.exists() and attempts[-1].reason in reasons.CONTINUED


def give_up(folder: RunFolder) -> None:
    """Write into the record of a run's last attempt that no other follows: its attempts are used up."""
    for record in folder.attempts()[-1:]:
        _write(folder, replace(record, given_up=True))


def is_to_continue(folder: RunFolder) -> bool:
    """Return whether a workflow, if one is running, starts another attempt of a run: it has not given up."""
    return should_continue(folder) and not folder.attempts()[-1].given_up


def settle(folder: RunFolder, states: dict[str, str]) -> None:
    """Write into the records of a run's attempts how their jobs ended, as Slurm reports it.

    Parameters
    ----------
    folder
        Of the run.
    states
        Job id -> last state, as sacct names it, of jobs that have ended.
    """
    records = folder.attempts()
    # Of a job that Slurm has run several times, the last: how the earlier ones ended is in their records.
    last = {record.job: record.attempt for record in records}
    for record in records:
        state = states.get(record.job or "")
        if state is None or (last[record.job] != record.attempt and record.outcome not in UNDER_WAY):
            continue
        reason = reasons.of_state(state)
        if record.outcome in UNDER_WAY:
            # A job that ended as any other, and not the attempt: something killed all processes of that at once.
            end_record(folder, record, reason or (reasons.KILLED if state in {"FAILED", "COMPLETED"} else reasons.LOST))
        elif reason and record.reason in _UNSURE:
            message = record.message
            if reason == reasons.OUT_OF_MEMORY and message == reasons.PROBABLY_OUT_OF_MEMORY:
                message = reasons.FOUND_OUT_OF_MEMORY
            _write(folder, replace(record, reason=reason, message=message))


def settle_earlier(folder: RunFolder, attempt: int, job: str) -> None:
    """Write into the records of a run's earlier attempts in a job how that ended before Slurm ran it again.

    Parameters
    ----------
    folder
        Of the run.
    attempt
        Number of the attempt that has begun in the job.
    job
        Its id.
    """
    earlier = [record for record in folder.attempts() if record.attempt < attempt and record.job == job]
    for record in earlier[-1:]:
        if record.outcome not in UNDER_WAY and record.reason in _UNSURE:
            state = reasons.of_state(slurm.earlier_state(job))
            _write(folder, replace(record, reason=state or reasons.REQUEUED))


def settle_lost(folders: Iterable[RunFolder]) -> None:
    """Settle attempts whose records say that they are under way although they are over, asking Slurm once.

    An attempt of which that cannot be known is left as it is.
    """
    under_way = [
        (folder, record) for folder in folders for record in folder.attempts()[-1:] if record.outcome in UNDER_WAY
    ]
    jobs = {record.job for _, record in under_way if record.job}
    queued = slurm.queued_jobs() if jobs else []
    ended: dict[str, str] = {}
    if queued is not None:
        gone = jobs - {job.id for job in queued if job.active}
        ended = {job.id: job.state for job in queued if job.id in gone} | (slurm.ended_jobs(sorted(gone)) or {})
    for folder, record in under_way:
        if record.job:
            settle(folder, ended)
        elif record.host == socket.gethostname() and not record.launcher_is_alive:
            end_record(folder, record, reasons.LOST)


def end_record(folder: RunFolder, record: AttemptRecord, reason: str) -> None:
    """Write into an attempt's record that it is over, and why; its duration stays unknown."""
    begun = set(folder.segment_names())
    known = {name for other in folder.attempts() if other.attempt != record.attempt for name in other.segments}
    ended = replace(
        record,
        outcome="lost",
        reason=reason,
        end=datetime.now(UTC).isoformat(timespec="milliseconds"),
        message=f"ended without a word ({reason}); found by process {os.getpid()} on {socket.gethostname()}",
        segments=tuple(sorted(begun - known)),
    )
    _write(folder, ended)


def _write(folder: RunFolder, record: AttemptRecord) -> None:
    record.write(folder.attempts_folder / f"{record.attempt}.json")
