"""Define what decides, while a run trains, that its sweep has it stopped."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from runferry.system.processes import end_session

if TYPE_CHECKING:
    from collections.abc import Callable

KILL_SECONDS = 30.0
"""For the command to end after its SIGTERM, as W&B's agent gives it."""


class StopDecision(ABC):
    """Looks now and then whether the run is to be stopped.

    Attributes
    ----------
    stopped : str or None
        Why, once it has been decided.
    """

    def __init__(self, seconds: float, note: Callable[[str], None]) -> None:
        """Look first in so many seconds; `note` takes a line for the log."""
        self.stopped: str | None = None
        self._next = time.monotonic() + seconds
        self._note = note

    def due_in(self) -> float:
        """Return the seconds until the next check or, once `stopped`, until the end by force."""
        return max(0.0, self._next - time.monotonic())

    def act(self, command: int) -> None:
        """Check when it is time to, and ask the command to end where it is to be stopped; end it once it was asked."""
        if time.monotonic() < self._next:
            return
        if self.stopped:
            end_session(command, 0.0, 0.0)
        elif self.look():
            self._note(str(self.stopped))
            os.kill(command, signal.SIGTERM)

    @abstractmethod
    def look(self) -> bool:
        """Check, and return whether the run is to be stopped now."""
