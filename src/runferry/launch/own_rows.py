"""Read the rows of the history that a run's command has written since the last look, while it writes them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runferry.config.sweep.parameter import is_finite_number
from runferry.errors import SegmentError
from runferry.trackers.wandb.log.messages import name_of, parser
from runferry.trackers.wandb.log.segment import find_log
from runferry.trackers.wandb.log.tail import LogTail

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runferry.runs.folder import RunFolder


class OwnRows:
    """Follows the segments of a run for some metrics."""

    def __init__(self, folder: RunFolder, names: Sequence[str]) -> None:
        """Follow the metrics `names` of the run in `folder`."""
        self._folder = folder
        self._names = frozenset(names)
        self._tails: dict[str, LogTail] = {}

    def read(self) -> Iterator[dict[str, float]]:
        """Yield the new rows that have one of the metrics: these, and `_step` where the row has it."""
        parse = parser("HistoryOnly")
        for segment in self._folder.segments():
            # One that is being made may have no log yet.
            with suppress(OSError, DecodeError, SegmentError):
                if segment.name not in self._tails:
                    self._tails[segment.name] = LogTail(find_log(segment))
                for payload in self._tails[segment.name]:
                    row = self._row(parse(payload))
                    if self._names & row.keys():
                        yield row

    def _row(self, record: Any) -> dict[str, float]:
        row: dict[str, float] = {}
        if record.HasField("history"):
            for item in record.history.item:
                name = name_of(item)
                if name in self._names or name == "_step":
                    with suppress(ValueError):
                        value: Any = json_number(item.value_json)
                        if is_finite_number(value):
                            row[name] = value
        return row


def json_number(text: str) -> float:
    """Return the number that a JSON text is: a whole one as int.

    >>> json_number("3"), json_number("0.5")
    (3, 0.5)
    """
    try:
        return int(text)
    except ValueError:
        return float(text)
