"""Stop a run early by its sweep's `early_terminate`, comparing it with its siblings on the shared disk.

There is no server to say so: each launcher reads its own run's segments while they are written, notes in
`early-terminate.json` the value at each band, and compares it with what the other runs of the experiment have noted.
It looks at these only when its run reaches a band and every `SIBLINGS_SECONDS` after that: there may be a thousand.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runferry.config.sweep.hyperband import bands, threshold, value_to_compare
from runferry.launch.own_rows import OwnRows
from runferry.launch.stop_decision import KILL_SECONDS, StopDecision
from runferry.system.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runferry.runs.folder import RunFolder

LOOK_SECONDS = 5.0
"""Between two looks at the run's own rows."""
SIBLINGS_SECONDS = 300.0
"""Between two looks at the other runs' values: one that was among the best may not be any more."""
FILE = "early-terminate.json"
"""In the run's folder: what other runs are compared with."""


@dataclass(frozen=True, eq=False, repr=False)
class NotedBands(Record):
    """The content of `early-terminate.json`."""

    NAME: ClassVar[str] = "record of a run's values at bands"
    metric: str
    """Its name."""
    bands: Mapping[str, Any]
    """The metric's value at each band that the run has reached, lower ones being better, by the band: the number of
    iterations, as text."""


class EarlyStop(StopDecision):
    """Decides by the sweep's `early_terminate`."""

    def __init__(self, folder: RunFolder, section: Mapping[str, Any], note: Callable[[str], None]) -> None:
        """Take the section `early_terminate` of `run.json`: `metric` and `hyperband`."""
        super().__init__(LOOK_SECONDS, note)
        self._folder = folder
        self._metric: str = section["metric"]["name"]
        self._sign = -1.0 if section["metric"].get("goal") == "maximize" else 1.0
        self._hyperband: Mapping[str, Any] = section["hyperband"]
        self._bands = bands(self._hyperband)
        self._own = OwnRows(folder, [self._metric])
        self._values: list[float] = []
        self._reached = 0
        self._next_siblings = 0.0

    def look(self) -> bool:
        """Read the run's new rows and return whether it is to be stopped now."""
        self._next = time.monotonic() + LOOK_SECONDS
        self._read()
        reached = sum(band <= len(self._values) for band in self._bands)
        if not reached or (reached == self._reached and time.monotonic() < self._next_siblings):
            return False
        if reached != self._reached:
            self._reached = reached
            noted = {str(band): self._values[band - 1] for band in self._bands[:reached]}
            NotedBands(self._metric, noted).write(self._folder.path / FILE)
        self._next_siblings = time.monotonic() + SIBLINGS_SECONDS
        band = self._bands[reached - 1]
        others = self._values_at(band)
        most = threshold(others, self._hyperband)
        value = value_to_compare(self._values, band, self._hyperband)
        if value <= most:
            return False
        self.stopped = (
            f"stopped early by hyperband: {self._metric} was {self._sign * value:g} after {band} iterations, "
            f"worse than {self._sign * most:g}, which the best of {len(others)} runs reached"
        )
        self._next = time.monotonic() + KILL_SECONDS
        return True

    def _read(self) -> None:
        self._values += [self._sign * row[self._metric] for row in self._own.read()]

    def _values_at(self, band: int) -> list[float]:
        found: list[float] = []
        for file in self._siblings():
            with suppress(OSError, ValueError, KeyError):
                found.append(float(NotedBands.read(file).bands[str(band)]))
        return found

    def _siblings(self) -> list[Path]:
        return sorted(self._folder.path.parent.glob(f"*/{FILE}"))
