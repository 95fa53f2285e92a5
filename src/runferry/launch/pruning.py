"""Stop a run where the pruner of its search's engine says so, by what is on the shared disk.

Each launcher notes some of its run's rows in `reported.json`, and asks the engine, which is told these of all runs that
are under way and what is known of those that have ended. The engine is a process of its own, of a second or two, on
the node: it is asked once a minute at most, and only when there are new rows.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runferry.config.search.engine import ask_engine
from runferry.config.search.results import metric_names, sample
from runferry.config.search.state import events_that_hold, points_file, points_of, read_events, read_search
from runferry.errors import RunferryError
from runferry.launch.own_rows import OwnRows
from runferry.launch.stop_decision import KILL_SECONDS, StopDecision
from runferry.system.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder

ASK_SECONDS = 60.0
"""Between two questions to the engine."""
ANSWER_SECONDS = 1.0
"""Between two looks whether it has answered."""
FILE = "reported.json"
"""In the run's folder: rows for the engine."""


@dataclass(frozen=True, eq=False, repr=False)
class ReportedRows(Record):
    """The content of `reported.json`."""

    NAME: ClassVar[str] = "record of a run's rows"
    rows: tuple[Any, ...]
    """With metrics and their `_step`, evenly spread (see `runferry.config.search.results.sample`)."""


class Pruning(StopDecision):
    """Decides as the engine's pruner says."""

    def __init__(self, folder: RunFolder, section: Mapping[str, Any], note: Callable[[str], None]) -> None:
        """Take the section `pruner` of `run.json`: its `name`."""
        super().__init__(ASK_SECONDS, note)
        self._folder = folder
        self._experiment = folder.path.absolute().parent
        self._pruner: str = section["name"]
        self._begun = read_search(self._experiment)
        self._names = metric_names(self._begun.definition)
        self._own = OwnRows(folder, self._names)
        self._rows: list[dict[str, float]] = []
        self._answers: list[bool] | None = None
        self._said = False

    def look(self) -> bool:
        """Ask the engine, or take its answer, and return whether the run is to be stopped now."""
        if self._answers is None:
            self._next = time.monotonic() + ASK_SECONDS
            new = [row for row in self._own.read() if "_step" in row]
            if new:
                self._rows += new
                ReportedRows(tuple(sample(self._rows))).write(self._folder.path / FILE)
                self._answers = []
                self._next = time.monotonic() + ANSWER_SECONDS
                # Beside the loop that passes signals on.
                threading.Thread(target=self._ask, args=(self._answers,), daemon=True).start()
            return False
        if not self._answers:
            self._next = time.monotonic() + ANSWER_SECONDS
            return False
        answer = self._answers[0]
        self._answers = None
        self._next = time.monotonic() + (KILL_SECONDS if answer else ASK_SECONDS)
        if answer:
            last = self._rows[-1]
            values = ", ".join(f"{name} was {last[name]:g}" for name in self._names if name in last)
            self.stopped = f"pruned by {self._begun.engine}'s {self._pruner}: {values} at step {last['_step']:g}"
        return answer

    def _ask(self, answers: list[bool]) -> None:
        try:
            answers.append(self._is_pruned())
        except (RunferryError, OSError, ValueError, KeyError) as error:
            if not self._said:
                self._note(f"the engine was asked whether to prune the run, and did not say: {error}")
                self._said = True
            answers.append(False)

    def _is_pruned(self) -> bool:
        events = read_events(points_file(self._experiment))
        running: dict[str, Sequence[dict[str, float]]] = {}
        own: int | None = None
        for point in points_of(events):
            if point.run == self._folder.path.name:
                own = point.number
                running[str(point.number)] = sample(self._rows)
            elif point.state is None:
                with suppress(OSError, ValueError):
                    running[str(point.number)] = ReportedRows.read(self._reported(point.run)).rows
        if own is None:
            return False
        answer = ask_engine(self._begun, events=events_that_hold(events), do="prune", number=own, running=running)
        return bool(answer["pruned"])

    def _reported(self, run: str) -> Path:
        return self._experiment / run / FILE
