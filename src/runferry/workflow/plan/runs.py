"""Find the states of an experiment's runs from the names of the files in their folders."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.config.rounds import read_chosen, round_file
from runferry.config.search.state import points_file, points_of, read_events
from runferry.runs.state import DONE, WAITING, names_in, state_and_reason

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runferry.config.rounds import Rounds
    from runferry.config.search.search import Search


SAMPLE = 20
"""Finished runs of which the files are counted, for the estimate of what the others will leave."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Attributes
    ----------
    id, name
        As in `runferry.config.run.RunDefinition`.
    state
        One of `STATES`.
    job
        The number of its job among the experiment's, from 0; None where it has none to come.
    why
        How the last attempt ended, where it failed.
    """

    id: str
    name: str
    state: str
    job: int | None = None
    why: str | None = None


@dataclass(frozen=True)
class Place:
    """One place in a round or a search, whose run may not be chosen yet."""

    id: str
    name: str
    state: str
    why: str | None
    ended: bool
    """Whether its run counts as ended, however that was."""


def places_of(folder: Path, rounds: Rounds) -> list[Place]:
    """Return each place of each round with the state of its run; `folder` is `results/<experiment>`."""
    found: list[Place] = []
    for number in range(1, rounds.number + 1):
        try:
            chosen = [run.id for run in read_chosen(round_file(folder, number))]
        except (OSError, ValueError):
            chosen = []
        ended = set(names_in(round_file(folder, number).parent)) if chosen else set[str]()
        for place in range(1, rounds.size_of(number) + 1):
            run = chosen[place - 1] if place <= len(chosen) else ""
            state, why = state_and_reason(folder / run) if run else (WAITING, None)
            found.append(Place(run, f"round {number}, place {place}", state, why, f"{place}.json" in ended))
    return found


def points_in_plan(folder: Path, search: Search) -> list[Place]:
    """Return each place of a search with the state of its run; `folder` is `results/<experiment>`."""
    chosen = {point.place: point.run for point in points_of(read_events(points_file(folder)))}
    ended = set(names_in(points_file(folder).parent))
    found: list[Place] = []
    for place in range(1, search.count + 1):
        run = chosen.get(place, "")
        state, why = state_and_reason(folder / run) if run else (WAITING, None)
        if not run and f"{place}.json" in ended:
            state = DONE
        found.append(Place(run, f"place {place}", state, why, f"{place}.json" in ended))
    return found


def files_and_bytes(folders: Iterable[Path]) -> tuple[float, float] | None:
    """Return the mean number of files (links and folders too) and bytes of these runs; None without runs.

    A file with several names counts once, as the filesystem's quota has it.
    """
    counted = files = size = 0
    seen: set[int] = set()
    for folder in folders:
        counted += 1
        for entry in (folder, *folder.rglob("*")):
            status = entry.lstat()
            if status.st_ino in seen:
                continue
            seen.add(status.st_ino)
            files += 1
            size += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
        if counted == SAMPLE:
            break
    return (files / counted, size / counted) if counted else None
