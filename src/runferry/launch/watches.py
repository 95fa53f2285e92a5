"""Define what the launcher watches while its command runs: each says when it is due, and then acts on the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry.launch.stop_decision import StopDecision
    from runferry.launch.takeover import FenceWatch
    from runferry.launch.time_limit import JobClock


class Watch(Protocol):
    """Waits for a time, and then does something to the command."""

    def due_in(self) -> float | None:
        """Return the seconds until it is to act; None where nothing is to be done."""
        ...

    def act(self, command: int) -> None:
        """Do what is due, if anything is.

        Parameters
        ----------
        command
            Process id of the command, which leads a session; it stays the command's for as long as this runs.
        """
        ...


@dataclass(frozen=True)
class Watches:
    """The clock, takeover and early stop that the launcher checks while the command runs.

    Attributes
    ----------
    clock
        Of the job's time limit.
    fence
        Of newer attempts.
    job_end
        Asks again when the job has to end (seconds since 1970), just before the warning.
    note
        Takes a line for the log.
    early
        Says when the run's sweep has it stopped early; None where it never does.
    """

    clock: JobClock
    fence: FenceWatch
    job_end: Callable[[], float | None]
    note: Callable[[str], None]
    early: StopDecision | None = None
