"""Warn a command that its job ends, and end it by force when it goes on: by the clock, or after Slurm's SIGTERM."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from runferry.launch.job_ending import JobEnding
from runferry.runs import reasons
from runferry.system.processes import end_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry.launch.time_limit import JobClock


class EndOfJob:
    """What the end of its job means for a command.

    Attributes
    ----------
    forced
        Seconds that the command had from its warning until it was ended by force; None where it was not.
    """

    def __init__(self, clock: JobClock, job_end: Callable[[], float | None], note: Callable[[str], None]) -> None:
        """Take the job's clock.

        Parameters
        ----------
        clock
            Of the job's time limit.
        job_end
            Asks again when the job has to end (seconds since 1970), just before the warning.
        note
            Takes a line for the log.
        """
        self.forced: float | None = None
        self._clock, self._job_end, self._note = clock, job_end, note
        self._warned_at: float | None = None
        self._ending: JobEnding | None = None

    def received(self, number: int) -> None:
        """Find out, where the signal is SIGTERM, whether Slurm ends the job."""
        if number == signal.SIGTERM and self._ending is None:
            self._ending = JobEnding.ask()
            self._warned_at = self._warned_at or time.monotonic()

    def due_in(self) -> float | None:
        """Return the seconds to the next thing to do."""
        pauses = [self._clock.seconds_to_next(), self._ending.seconds_to_next() if self._ending else None]
        return min((pause for pause in pauses if pause is not None), default=None)

    def act(self, command: int) -> None:
        """Warn the command of the time limit, or end it when it was warned, if it is time to."""
        self._read_answer()
        if not self._clock.due():
            return
        if self._clock.warned:
            self.forced = 0.0 if self._warned_at is None else time.monotonic() - self._warned_at
            self._note("the command goes on after its warning, and is ended so that its rows can be written in time")
            end_session(command, 0.0, self._clock.last_seconds / 3)
        elif not self._clock.extend(self._job_end()):
            self._clock.warned = True
            self._warned_at = time.monotonic()
            name = signal.Signals(self._clock.settings.signal).name
            self._note(f"the job's time limit is {self._clock.seconds_left:.0f} s away: {name} to the command")
            os.kill(command, self._clock.settings.signal)

    def settle(self) -> None:
        """Have the clock know why the job ends, once the command has ended at Slurm's signal; it waits a moment."""
        while self._ending and self._ending.waiting:
            if not self._read_answer():
                time.sleep(0.02)

    def _read_answer(self) -> bool:
        end = self._ending.answer() if self._ending else None
        if end is None:
            return False
        clock = self._clock
        # Where Slurm does not say and the limit was near, it is the limit.
        clock.end_sooner(end.killed, end.reason or (clock.reason if clock.warned else reasons.STOPPED))
        self._note(f"the job is being ended ({clock.reason}); everything is killed in {clock.seconds_left:.0f} s")
        return True
