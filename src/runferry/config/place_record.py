"""Read and write `<place>.json`, which says that the run of a place in a round or a search has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runferry.system.records import Record, optional


@dataclass(frozen=True, eq=False, repr=False)
class PlaceRecord(Record):
    """The content of `<place>.json`."""

    NAME: ClassVar[str] = "record of a place"
    run: str | None = None
    """The id of its run; None where the search ended before the place had a point."""
    finished: bool = False
    """Whether the run finished; one that failed has ended too."""
    reason: str | None = optional()
    """Why there is no run; None where there is one."""
