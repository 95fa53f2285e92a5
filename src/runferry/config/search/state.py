"""Read and append what an engine was asked and told: `results/<experiment>/search/points.jsonl`, one event a line.

The file is all that a search remembers. Each line is on disk before the job that it belongs to is submitted; a line
that was cut off, of a process killed while it wrote, never counted.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.errors import LaunchError
from runferry.runs.folder import RunFolder
from runferry.system.files import read_json
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

FOLDER = "search"
"""In the experiment's folder."""
POINTS = "points.jsonl"
DEFINITION = "search.json"
"""What points are asked with: definition, engine, seed, and what `run.json` says besides."""


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


def read_events(file: Path) -> list[dict[str, Any]]:
    """Read all events in their order; none where nothing was asked for."""
    return _parse(file)[0]


def append_events(file: Path, events: Sequence[Mapping[str, Any]]) -> None:
    """Append events; they are on disk when this returns. Whoever calls it holds the search's lock."""
    if not events:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = _parse(file)[1]
    with file.open("ab") as opened:
        # A line that was cut off goes; it never counted.
        opened.truncate(whole)
        opened.seek(0, os.SEEK_END)
        opened.write("".join(json.dumps(event) + "\n" for event in events).encode())
        opened.flush()
        os.fsync(opened.fileno())


def points_of(events: Iterable[Mapping[str, Any]]) -> list[Point]:
    """Return the points in the order in which they were asked for, each with what was told last."""
    asked: dict[int, Mapping[str, Any]] = {}
    told: dict[int, Mapping[str, Any]] = {}
    for event in events:
        if "asked" in event:
            asked[event["asked"]] = event
        elif "told" in event:
            told[event["told"]] = event
        else:
            told.pop(event["forgotten"], None)
    return [
        Point(
            number,
            event["place"],
            event["run"],
            event["parameters"],
            event["repetition"],
            told[number]["state"] if number in told else None,
            told[number]["summary"] if number in told else None,
        )
        for number, event in asked.items()
    ]


def events_that_hold(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return what was asked and told, without the results that were deleted afterwards."""
    last_forgotten = {event["forgotten"]: index for index, event in enumerate(events) if "forgotten" in event}
    return [
        event
        for index, event in enumerate(events)
        if "asked" in event or ("told" in event and index > last_forgotten.get(event["told"], -1))
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
        if event.get("asked") and event["place"] == int(place_file.stem):
            return RunFolder(experiment / event["run"])
    return None


def read_definition(experiment: Path) -> dict[str, Any]:
    """Read `search.json`.

    Raises
    ------
    LaunchError
        When it is missing.
    """
    file = experiment / FOLDER / DEFINITION
    try:
        return read_json(file)
    except FileNotFoundError as error:
        message = f"{file}: found no such file, expected a search that rule `search` has begun"
        raise LaunchError(message) from error


def _parse(file: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the events and how many bytes they take."""
    events: list[dict[str, Any]] = []
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
        events.append(dict(event))
        size += len(line)
    return events, size
