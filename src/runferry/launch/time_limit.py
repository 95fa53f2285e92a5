"""Warn the command before its job's time limit, and end it in time: the launcher's own clock.

At its time limit Slurm sends a job SIGTERM, and SIGKILL soon after. That is heard (see `job_ending`), but a training
that saves for minutes needs to hear it earlier. So the launcher finds out when the job has to end, warns the command in
time, and ends it in time to have its rows written.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.runs import reasons
from runferry.runs.run_record import WarningEntry

if TYPE_CHECKING:
    from runferry.runs.run_record import RunRecord


LEAST_SECONDS, MOST_SECONDS = 10.0, 90.0
"""Before the end, in which a command that has not ended is ended and what wandb holds is written."""


@dataclass(frozen=True)
class WarningSettings:
    """The signal that warns the command before its job's time limit, and its time.

    Attributes
    ----------
    signal
        Its number.
    seconds
        How long before the end; None is 5 minutes, or a tenth of the job's time where that is less.
    """

    signal: int
    seconds: float | None


class JobClock:
    """Calculates when the command is to be warned, and when it is to be ended.

    Attributes
    ----------
    warned
        Whether the time for the warning has come.
    reason
        Why the job ends, one of `runferry.runs.reasons`.
    """

    def __init__(self, settings: WarningSettings, end: float | None) -> None:
        """Take the time at which the job has to end (seconds since 1970), or None where nothing limits it."""
        self.warned = False
        self.reason = reasons.TIME_LIMIT
        self.settings = settings
        self._end = end
        left = 0.0 if end is None else max(0.0, end - time.time())
        self._before = min(300.0, left / 10) if settings.seconds is None else settings.seconds
        self._last = min(MOST_SECONDS, max(LEAST_SECONDS, self._before / 3), self._before / 2)

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the job's end; 0 where nothing limits it."""
        return 0.0 if self._end is None else self._end - time.time()

    @property
    def last_seconds(self) -> float:
        """Return the seconds for everything after the command has been told to end by force."""
        return self._last

    def seconds_to_next(self) -> float | None:
        """Return the seconds until the warning or, once `warned`, the end by force; None without a limit."""
        if self._end is None:
            return None
        return max(0.0, self._end - (self._last if self.warned else self._before) - time.time())

    def due(self) -> bool:
        """Return whether the warning is due or, once `warned`, the end by force."""
        seconds = self.seconds_to_next()
        return seconds is not None and seconds <= 0

    def end_sooner(self, end: float, reason: str) -> None:
        """Take over that the job ends sooner, for another reason; its signal was the command's warning.

        Parameters
        ----------
        end
            When everything is killed, in seconds since 1970.
        reason
            One of `runferry.runs.reasons`.
        """
        self._end, self.warned, self.reason = end, True, reason
        self._last = min(MOST_SECONDS, max(LEAST_SECONDS, self.seconds_left / 3), self.seconds_left / 2)

    def extend(self, end: float | None) -> bool:
        """Set a later end of the job, which an administrator may have moved; return whether it is later."""
        if self._end is None or end is None or end <= self._end + 1:
            return False
        self._end = end
        return True


def warning_of(run: RunRecord) -> WarningSettings:
    """Read the warning's settings from a run's record; a record without them has the defaults."""
    given = run.warning or WarningEntry()
    return WarningSettings(int(signal.Signals[given.signal]), given.seconds)
