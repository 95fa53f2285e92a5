"""What the server says of a run when it is behind: its counts, summary and tails as they were some seconds ago."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry_standin.runs import EVENTS_FILE, HISTORY_FILE, OUTPUT_FILE, count_lines, last_line

if TYPE_CHECKING:
    from runferry_standin.behaviour import Behaviour
    from runferry_standin.store import Record, Store

COUNTED = (HISTORY_FILE, EVENTS_FILE, OUTPUT_FILE)

KEPT_SECONDS = 600.0
"""How long what a run was is remembered: longer than any lag that is worth a test."""


@dataclass(frozen=True)
class Position:
    """How far a run was."""

    counts: dict[str, int]
    tails: dict[str, str | None]
    summary: str | None
    last_step: int | None


class Lagging:
    """Remembers how far runs were before each write. In memory: a server that starts again is behind with nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._before: dict[int, deque[tuple[float, Position]]] = {}

    def note(self, run: Record) -> None:
        """Remember how far a run is now, before it is written to. A write that is undone then does no harm."""
        now = self._store.now()
        earlier = self._before.setdefault(run["number"], deque())
        earlier.append((now, position_of(self._store, run)))
        while earlier[0][0] < now - KEPT_SECONDS:
            earlier.popleft()

    def position(self, run: Record, seconds: float) -> Position:
        """Return how far a run was so many seconds ago, as far as is remembered."""
        if seconds > 0:
            then = self._store.now() - seconds
            for time, position in self._before.get(run["number"], ()):
                if time > then:
                    return position
        return position_of(self._store, run)

    def count(self, run: Record, behaviour: Behaviour, file: str) -> int:
        """Return how many lines of a streamed file the server counts."""
        if behaviour.counts_lag <= 0:
            return count_lines(self._store, run, file)
        return self.position(run, behaviour.counts_lag).counts[file]

    def tail(self, run: Record, behaviour: Behaviour, file: str) -> str | None:
        """Return the last line of the history or of the events as the server shows it, or None."""
        if behaviour.summary_lag <= 0:
            return last_line(self._store, run, file)
        return self.position(run, behaviour.summary_lag).tails[file]

    def summary(self, run: Record, behaviour: Behaviour) -> str | None:
        """Return the summary as the server shows it."""
        if behaviour.summary_lag <= 0:
            return run["summary_metrics"]
        return self.position(run, behaviour.summary_lag).summary

    def last_step(self, run: Record, behaviour: Behaviour) -> int | None:
        """Return the last step as the server shows it."""
        if behaviour.summary_lag <= 0:
            return run["last_step"]
        return self.position(run, behaviour.summary_lag).last_step


def position_of(store: Store, run: Record) -> Position:
    """Return how far a run is. What the record holds of it counts, so it must be a fresh one."""
    return Position(
        {file: count_lines(store, run, file) for file in COUNTED},
        {file: last_line(store, run, file) for file in (HISTORY_FILE, EVENTS_FILE)},
        run["summary_metrics"],
        run["last_step"],
    )
