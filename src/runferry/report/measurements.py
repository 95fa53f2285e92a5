"""Read a segment's measurements by column: the history of the run, and the metrics of its machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runferry.report.media import Media, take_media
from runferry.system.values import decode_all
from runferry.trackers.wandb.log.messages import parser

if TYPE_CHECKING:
    from collections.abc import Iterable

# wandb's names of what it measures -> ours. Those of memory were seen in a segment of 0.31; those of GPUs and "cpu" are
# assumed, as no GPU was at hand. What several GPUs have is averaged.
_SYSTEM = [
    (re.compile(r"gpu\.\d+\.gpu"), "GPU use (%)"),
    (re.compile(r"gpu\.\d+\.memoryAllocated"), "GPU memory (%)"),
    (re.compile(r"gpu\.\d+\.memoryAllocatedBytes"), "GPU memory (GB)"),
    (re.compile(r"cpu"), "CPU use (%)"),
    (re.compile(r"proc\.memory\.rssMB"), "Memory of the process (MB)"),
    (re.compile(r"memory_percent"), "Memory of the node (%)"),
]
GPU_USE, GPU_MEMORY, GPU_BYTES = _SYSTEM[0][1], _SYSTEM[1][1], _SYSTEM[2][1]
_SCALE = {GPU_BYTES: 1e-9}


@dataclass
class Measurements:
    """The measurements of a segment.

    Attributes
    ----------
    steps : list of int
        Of the rows of the history.
    times : list of float
        Of the rows, seconds since 1970; empty where they have none.
    began : float
        The first moment that is known, seconds since 1970.
    columns : dict
        Metric -> numbers of the rows that have it, from 0, and its values in them. wandb's own, which begin with an
        underscore, are not in it.
    system : dict
        Measurement -> moments, seconds since 1970, and values.
    media : dict
        Name -> the images, table, histogram and so on that were last logged under it.
    """

    steps: list[int] = field(default_factory=list[int])
    times: list[float] = field(default_factory=list[float])
    began: float = 0.0
    columns: dict[str, tuple[list[int], list[Any]]] = field(default_factory=dict[str, "tuple[list[int], list[Any]]"])
    system: dict[str, tuple[list[float], list[float]]] = field(
        default_factory=dict[str, "tuple[list[float], list[float]]"]
    )
    media: dict[str, Media] = field(default_factory=dict[str, Media])


class Measuring:
    """Takes the measurements out of a segment's records while they are read, so that a log is read once.

    The texts of a column are decoded together at the end, which is several times faster than row by row.
    """

    def __init__(self) -> None:
        self._parse = parser("Measured")
        self._steps: list[int] = []
        self._columns: dict[str, tuple[list[int], list[str]]] = {}
        self._system: list[tuple[float, Any]] = []

    def add(self, payload: bytes) -> None:
        """Add the next record of the log; what is no record of W&B's is left out."""
        try:
            record = self._parse(payload)
        except DecodeError:
            return
        if record.HasField("history"):
            row = len(self._steps)
            self._steps.append(record.history.step.num)
            columns = self._columns
            for item in record.history.item:
                nested = item.nested_key
                key = item.key or (nested[0] if len(nested) == 1 else ".".join(nested))
                column = columns.get(key)
                if column is None:
                    column = columns[key] = ([], [])
                column[0].append(row)
                column[1].append(item.value_json)
        elif record.HasField("stats"):
            time = record.stats.timestamp
            self._system.append((time.seconds + time.nanos / 1e9, record.stats.item))

    def measurements(self) -> Measurements:
        """Return the measurements of all records that were added."""
        steps, columns = self._steps, self._columns
        measured = Measurements(steps=steps)
        own = {name: columns.pop(name, ([], [])) for name in ("_step", "_timestamp")}
        for row, step in zip(own["_step"][0], decode_all(own["_step"][1]), strict=True):
            steps[row] = int(step)
        times = decode_all(own["_timestamp"][1])
        measured.times = times if len(times) == len(steps) else []
        measured.media = take_media(columns, steps)
        measured.columns = {
            name: (rows, decode_all(texts)) for name, (rows, texts) in columns.items() if name[:1] != "_"
        }
        measured.system = _system(self._system)
        measured.began = min([*measured.times[:1], *(stamps[0] for stamps, _ in measured.system.values())], default=0.0)
        return measured


def _system(records: Iterable[tuple[float, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    collected: dict[str, tuple[list[float], list[float]]] = {}
    for stamp, items in records:
        found: dict[str, list[float]] = {}
        for item in items:
            for pattern, name in _SYSTEM:
                if pattern.fullmatch(item.key):
                    found.setdefault(name, []).append(float(item.value_json) * _SCALE.get(name, 1))
        for name, values in found.items():
            stamps, means = collected.setdefault(name, ([], []))
            stamps.append(stamp)
            means.append(sum(values) / len(values))
    return {name: collected[name] for _, name in _SYSTEM if name in collected}
