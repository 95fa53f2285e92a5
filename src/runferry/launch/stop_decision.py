"""Define what decides, while a run trains, that its sweep has it stopped."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

KILL_SECONDS = 30.0
"""For the command to end after its SIGTERM, as W&B's agent gives it."""


class StopDecision(ABC):
    """Looks now and then whether the run is to be stopped.

    Attributes
    ----------
    stopped : str or None
        Why, once it has been decided.
    """

    def __init__(self, seconds: float) -> None:
        """Look first in so many seconds."""
        self.stopped: str | None = None
        self._next = time.monotonic() + seconds

    def seconds_to_next(self) -> float:
        """Return the seconds until the next check or, once `stopped`, until the end by force."""
        return max(0.0, self._next - time.monotonic())

    def due(self) -> bool:
        """Return whether the next check is due or, once `stopped`, the end by force."""
        return time.monotonic() >= self._next

    @abstractmethod
    def look(self) -> bool:
        """Check, and return whether the run is to be stopped now."""
