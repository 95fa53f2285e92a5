"""Count the rows of segments and describe their damage; unchanged segments are not read again."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runferry.errors import SegmentError
from runferry.runs.folder import FOLDER
from runferry.runs.receipt_stamp import stamp
from runferry.system.files import read_json, write_json
from runferry.system.values import decode_or_keep
from runferry.trackers.wandb.log.framing import BLOCK_BYTES, HEADER
from runferry.trackers.wandb.log.messages import name_of, parser
from runferry.trackers.wandb.log.segment import find_log, read_segment
from runferry.trackers.wandb.log.tail import LogTail

if TYPE_CHECKING:
    from pathlib import Path

    from runferry.runs.folder import RunFolder

MEMORY_FILE = "status.json"
"""In the folder of the results' lock. Without it, everything is read again."""
_FORMAT = 1
_BLOCKS = (1, 8, 64)
"""How much of a log's end is looked at for a metric, one after the other: 32 KiB, 256 KiB, 2 MiB."""


@dataclass
class SegmentCount:
    """The number of rows of one transaction log, and its damage.

    Attributes
    ----------
    size_bytes : int
    mtime_ns : int
        Of its last change, nanoseconds since 1970.
    rows : int
        Of its history, up to `position`.
    position : int
        Bytes that have been read.
    damage : str or None
        What could not be read of it.
    """

    size_bytes: int = -1
    mtime_ns: int = 0
    rows: int = 0
    position: int = 0
    damage: str | None = None

    @property
    def whole(self) -> bool:
        """Return whether the log was read to its end, and has records."""
        return len(HEADER) < self.size_bytes <= self.position


class SegmentCounts:
    """The counts of the segments of one results folder, kept on disk between two calls."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._file = results / FOLDER / MEMORY_FILE
        self._counts: dict[str, SegmentCount] = {}
        self._changed = False
        self._parse = parser("HistoryUnread")
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            known = read_json(self._file)
            if known["format"] == _FORMAT:
                self._counts = {name: SegmentCount(**each) for name, each in known["segments"].items()}

    def of(self, file: Path, *, growing: bool) -> SegmentCount:
        """Count the rows of a transaction log, reading only its new part.

        Parameters
        ----------
        growing
            Whether its run is training: then the end of the log is always unfinished, which is no damage.

        Raises
        ------
        OSError
            When it cannot be read.
        """
        name = os.path.relpath(file, self._results)
        now = stamp(file)
        known = self._counts.get(name, SegmentCount())
        if (known.size_bytes, known.mtime_ns) == (now["size_bytes"], now["mtime_ns"]):
            if growing or known.damage or known.whole:
                return known
        elif known.damage or now["size_bytes"] < known.position:
            known = SegmentCount()
        tail = LogTail(file, known.position)
        for payload in tail:
            with suppress(DecodeError):
                known.rows += self._parse(payload).HasField("history")
        known.size_bytes, known.mtime_ns, known.position = now["size_bytes"], now["mtime_ns"], tail.position
        if tail.unreadable or not (growing or known.whole):
            _read_damaged(file, known)
        self._counts[name] = known
        self._changed = True
        return known

    def save(self) -> None:
        """Write the counts to disk; a folder that cannot be written to is left as it is."""
        if self._changed:
            with suppress(OSError):
                segments = {name: asdict(count) for name, count in self._counts.items()}
                write_json(self._file, {"format": _FORMAT, "segments": segments})
                self._changed = False


def _read_damaged(file: Path, count: SegmentCount) -> None:
    """Read a log that is not whole as a sync would, behind the damage too."""
    try:
        segment = read_segment(file)
    except SegmentError as error:
        count.damage = str(error)
        return
    count.rows = segment.history_count
    count.damage = f"no record in {segment.size_bytes} bytes" if segment.empty else segment.damage


def last_value(folder: RunFolder, metric: str) -> float | None:
    """Return the last value of a metric that a run logged, from a row or the summary.

    Only the end of the log is read, 2 MiB at most: None where the metric is not in that, in no segment.
    """
    for path in reversed(folder.segments()):
        with suppress(SegmentError, OSError):
            value = _last_value_in(find_log(path), metric)
            if value is not None:
                return value
    return None


def _last_value_in(file: Path, metric: str) -> float | None:
    parse, size = parser("Record"), file.stat().st_size
    before = 0
    for blocks in _BLOCKS:
        records = LogTail(file).records_near_end(blocks)
        # What was looked at before is at the end of what is read now.
        for payload in reversed(records[: len(records) - before]):
            with suppress(DecodeError):
                value = _value_of(parse(payload), metric)
                if value is not None:
                    return value
        before = len(records)
        if size <= blocks * BLOCK_BYTES:
            break
    return None


def _value_of(record: Any, metric: str) -> float | None:
    items = record.history.item if record.HasField("history") else record.summary.update
    for item in items:
        if name_of(item) == metric:
            value = decode_or_keep(item.value_json)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
    return None
