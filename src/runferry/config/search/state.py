"""Read and append what an engine was asked and told: `results/<experiment>/search/points.jsonl`, one event a line.

The file is all that a search remembers. Each line is on disk before the job that it belongs to is submitted; a line
that was cut off, of a process killed while it wrote, never counted.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runferry.errors import LaunchError
from runferry.runs.folder import RunFolder
from runferry.runs.run_record import RunRecord
from runferry.system.records import Record, from_json
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

FOLDER = "search"
"""In the experiment's folder."""
POINTS = "points.jsonl"
DEFINITION = "search.json"
"""What points are asked with: definition, engine, seed, and what `run.json` says besides."""


@dataclass(frozen=True, eq=False, repr=False)
class SearchRecord(Record):
    """The content of `search.json`."""

    NAME: ClassVar[str] = "record of a search"
    experiment: str
    where: str
    """For messages: the file of the definition, or the key of the config that has it."""
    definition: Mapping[str, Any]
    """The sweep, as W&B has it."""
    engine: str
    """One of `runferry.config.sweep.scheduler.ENGINES`."""
    source: str | None
    """The Python file that defines the search space or the optimizer; None without one."""
    seed: int
    count: int
    """Of points, in all."""
    parallel: int
    """Runs at a time, at most."""
    record: Mapping[str, Any]
    """What `run.json` says of every run; see `shared_record`."""
    pruner: str | None = None
    """Name of the engine's pruner; None where it has none."""

    @property
    def shared_record(self) -> RunRecord:
        """Return what `run.json` says of every run of the search.

        Raises
        ------
        ValueError
            When `record` is none of a run.
        """
        return from_json(RunRecord, {"id": "", **self.record}, f"{self.experiment}: {DEFINITION}: record")


@dataclass(frozen=True, eq=False, repr=False)
class Asked(Record):
    """The event that the engine was asked for a point, and chose it."""

    NAME: ClassVar[str] = "event of a search"
    asked: int
    """The number of the point: the order in which points were asked for, from 1."""
    place: int
    run: str
    """The id of its run."""
    parameters: Mapping[str, Any]
    repetition: int
    """How often the same parameters were chosen before."""
    engine: str
    """Which one chose it."""


@dataclass(frozen=True, eq=False, repr=False)
class Told(Record):
    """The event that the engine was told how the run of a point ended."""

    NAME: ClassVar[str] = "event of a search"
    told: int
    """The number of the point."""
    state: str
    """"finished", "failed" or "pruned"."""
    summary: Mapping[str, float]
    """The last value of each metric that has one."""
    history: tuple[Any, ...]
    """Rows with metrics and their `_step`, evenly spread (see `runferry.config.search.results.sample`)."""


@dataclass(frozen=True, eq=False, repr=False)
class Forgotten(Record):
    """The event that the result of a point was deleted: what was told of it before does not count."""

    NAME: ClassVar[str] = "event of a search"
    forgotten: int
    """The number of the point."""


Event = Asked | Told | Forgotten


@dataclass(frozen=True)
class Point:
    """A point that an engine has chosen."""

    number: int
    """The order in which points were asked for, from 1."""
    place: int
    run: str
    """The id of its run."""
    parameters: Mapping[str, Any]
    repetition: int
    """How often the same parameters were chosen before."""
    state: str | None = None
    """What the engine was told: "finished", "failed" or "pruned"; None before."""
    values: Mapping[str, float] | None = None
    """The last value of each metric, where it was told any."""


def points_file(experiment: Path) -> Path:
    """Return the path of the file of events; `experiment` is `results/<experiment>`."""
    return experiment / FOLDER / POINTS


def read_events(file: Path) -> list[Event]:
    """Read all events in their order; none where nothing was asked for.

    Raises
    ------
    ValueError
        When a line is another JSON object than an event.
    """
    return _parse(file)[0]


def append_events(file: Path, events: Sequence[Event]) -> None:
    """Append events; they are on disk when this returns. Whoever calls it holds the search's lock."""
    if not events:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = _parse(file)[1]
    with file.open("ab") as opened:
        # A line that was cut off goes; it never counted.
        opened.truncate(whole)
        opened.seek(0, os.SEEK_END)
        opened.write("".join(json.dumps(event.to_json()) + "\n" for event in events).encode())
        opened.flush()
        os.fsync(opened.fileno())


def points_of(events: Iterable[Event]) -> list[Point]:
    """Return the points in the order in which they were asked for, each with what was told last."""
    asked: dict[int, Asked] = {}
    told: dict[int, Told] = {}
    for event in events:
        if isinstance(event, Asked):
            asked[event.asked] = event
        elif isinstance(event, Told):
            told[event.told] = event
        else:
            told.pop(event.forgotten, None)
    return [
        Point(
            number,
            event.place,
            event.run,
            event.parameters,
            event.repetition,
            told[number].state if number in told else None,
            told[number].summary if number in told else None,
        )
        for number, event in asked.items()
    ]


def events_that_hold(events: Sequence[Event]) -> list[Asked | Told]:
    """Return what was asked and told, without the results that were deleted afterwards."""
    last_forgotten = {event.forgotten: index for index, event in enumerate(events) if isinstance(event, Forgotten)}
    return [
        event
        for index, event in enumerate(events)
        if isinstance(event, Asked) or (isinstance(event, Told) and index > last_forgotten.get(event.told, -1))
    ]


def repetitions(points: Iterable[Point]) -> Counter[str]:
    """Count how often each point was chosen, by its parameters as text."""
    return Counter(key_of(point.parameters) for point in points)


def key_of(parameters: Mapping[str, Any]) -> str:
    """Return the parameters as one text."""
    return json.dumps(parameters, sort_keys=True)


def is_place(file: Path) -> bool:
    """Return whether a file records the end of a place of a search: `search/<place>.json`."""
    return file.parent.name == FOLDER and file.stem.isdigit()


def run_of_place(place_file: Path) -> RunFolder | None:
    """Return the folder of the run of a place, `search/<place>.json`; None where its point has not been asked for."""
    experiment = place_file.parents[1]
    for event in read_events(points_file(experiment)):
        if isinstance(event, Asked) and event.place == int(place_file.stem):
            return RunFolder(experiment / event.run)
    return None


def read_search(experiment: Path) -> SearchRecord:
    """Read `search.json`.

    Raises
    ------
    LaunchError
        When it is missing.
    ValueError
        When it is none of a search.
    """
    file = experiment / FOLDER / DEFINITION
    try:
        return SearchRecord.read(file)
    except FileNotFoundError as error:
        message = f"{file}: found no such file, expected a search that rule `search` has begun"
        raise LaunchError(message) from error


def _parse(file: Path) -> tuple[list[Event], int]:
    """Return the events and how many bytes they take."""
    events: list[Event] = []
    size = 0
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return [], 0
    for line in content.splitlines(keepends=True):
        try:
            event = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not is_mapping(event):
            break
        kind = Asked if "asked" in event else Told if "told" in event else Forgotten
        events.append(from_json(kind, event, f"{file}: line {len(events) + 1}"))
        size += len(line)
    return events, size
