"""Decide between jobs of the same run: which of several starts it, and stop an older attempt before a newer one starts.

Where several jobs were submitted for a run (`any_of`), the first to claim its start has it; the others end before they
have written anything (`runferry.runs.first_start`).

An attempt takes its number, which no other can have, and looks at those before it that have not ended. Where one of
these is at work, the new attempt gives up. One whose job Slurm calls over is over; but a node that Slurm has lost may
go on computing, and where nobody can say whether an attempt still runs it is told to stop: each running attempt looks
every `LOOK_SECONDS` whether a newer one has taken over, and ends its command then, and writes the rows that it has
logged. The newer one waits for longer than that before it starts its own, and goes on after these rows.

What it rests on: the shared filesystem shows a file that was made on one node to another within `WAIT_SECONDS` less
what the older attempt needs. A node that cannot reach the shared filesystem cannot write to the run either.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from runferry.errors import AnotherAttemptError
from runferry.runs import reasons, slurm
from runferry.runs.continuation import end_record, settle_earlier
from runferry.runs.ending import UNDER_WAY
from runferry.runs.first_start import RACE_VARIABLE, claim
from runferry.system.messages import say
from runferry.system.processes import end_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry.runs.attempt import Attempt
    from runferry.runs.attempt_record import AttemptRecord
    from runferry.runs.folder import RunFolder

LOOK_SECONDS = 10.0
WAIT_SECONDS = 30.0
ENDING_SECONDS, WRITING_SECONDS = 4.0, 6.0
"""For the command of an attempt that has seen a newer one to end at SIGTERM, and then for its rows to be written: with
`LOOK_SECONDS` before, both are over while the newer one still waits."""

_PATIENCE_SECONDS = 600.0
"""For Slurm to answer, and for a job that is ending to end."""


def starts_elsewhere(folder: RunFolder) -> bool:
    """Claim the start of the run for this process's job; return whether another of the run's jobs has it.

    False where the run has one job only, which was not told of a race.

    Raises
    ------
    OSError
        When no claim can be written, so that nobody can say.
    """
    # Once: neither the command nor launchers that this one starts take part in it.
    race, job = os.environ.pop(RACE_VARIABLE, ""), os.environ.get("SLURM_JOB_ID")
    if not race or not job or claim(folder, race, job):
        return False
    say(f"run {folder.path.name}: another of its jobs has started it first; this one ends")
    return True


def take_turn(attempt: Attempt, note: Callable[[str], None]) -> None:
    """Wait until this attempt alone may work on the run; end the records of earlier attempts that are over.

    Parameters
    ----------
    attempt
        Has just begun; its record says "running" afterwards, as that of a run's first attempt does from the start.
    note
        Takes a line that describes what the attempt waits for.

    Raises
    ------
    AnotherAttemptError
        When another one is at work. The record says so.
    """
    if attempt.record.outcome == "running":
        return
    if attempt.record.job:
        settle_earlier(attempt.folder, attempt.number, attempt.record.job)
    others = [record for record in attempt.folder.attempts() if record.attempt < attempt.number]
    unsure = False
    for record in others:
        if record.outcome in UNDER_WAY:
            unsure |= _wait_for(record, attempt, note)
    if unsure:
        attempt.set_outcome("taking over")
        note(
            f"an earlier attempt may still run where nobody sees it; in {WAIT_SECONDS:.0f} s it will have seen this one"
        )
        time.sleep(WAIT_SECONDS)
    attempt.set_outcome("running")


class FenceWatch:
    """Checks regularly whether a newer attempt has taken over."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._next = time.monotonic() + LOOK_SECONDS
        self.superseded = False

    def due_in(self) -> float:
        """Return the seconds until the next check."""
        return max(0.0, self._next - time.monotonic())

    def act(self, command: int) -> None:
        """Check if it is time to, and end the command where a newer attempt has taken over."""
        if not self.superseded and time.monotonic() >= self._next:
            self._next = time.monotonic() + LOOK_SECONDS
            self.superseded = any(
                record.attempt > self._attempt.number and record.outcome in {"taking over", "running"}
                for record in self._attempt.folder.attempts()
            )
        if self.superseded:
            end_session(command, 0.0, ENDING_SECONDS)


def _wait_for(record: AttemptRecord, attempt: Attempt, note: Callable[[str], None]) -> bool:
    """Wait until an earlier attempt is over; True where that cannot be known."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    said = False
    while True:
        state = _state_of(record, attempt)
        if state == "at work":
            where = f"job {record.job}" if record.job else f"process {record.pid}"
            message = f"found attempt {record.attempt} ({where} on {record.host}) at work, expected none"
            raise AnotherAttemptError(f"{message}; this one leaves it to that")
        if state not in {"ending", "no answer"}:
            end_record(attempt.folder, record, state)
            return _may_still_run(record, state)
        if time.monotonic() > deadline:
            end_record(attempt.folder, record, reasons.LOST)
            return True
        if not said:
            note(f"waiting for attempt {record.attempt} (job {record.job}) to end")
            said = True
        time.sleep(5)


def _state_of(record: AttemptRecord, attempt: Attempt) -> str:
    """Say "at work", "ending", "no answer", or the reason for which it is over."""
    job, here = record.job, record.host == socket.gethostname()
    if job and job == attempt.record.job:
        # Slurm has begun the job again.
        return reasons.of_state(slurm.earlier_state(job)) or reasons.REQUEUED
    if here and record.launcher_is_alive:
        return "at work"
    if not job:
        return reasons.LOST
    queued = slurm.queued_jobs()
    if queued is None:
        return "no answer"
    found = next((one for one in queued if one.id == job), None)
    if found and found.active:
        return "ending" if found.state == "COMPLETING" or here else "at work"
    states = slurm.ended_jobs([job]) or {}
    return reasons.of_state(found.state if found else states.get(job)) or reasons.LOST


def _may_still_run(record: AttemptRecord, reason: str) -> bool:
    """Tell whether an attempt that Slurm calls over may go on all the same: its node was lost, or left it behind."""
    if record.host == socket.gethostname():
        return record.launcher_is_alive
    return reason in {reasons.NODE_FAILURE, reasons.LOST, reasons.PREEMPTED, reasons.REQUEUED}
