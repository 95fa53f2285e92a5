"""What of a segment is given to `wandb sync`: the segment itself, or a copy without what the server has already.

`wandb sync` (0.31) appends all that it reads to what the server has (UpsertBucket's answer says where), and it stops
at the first byte that it cannot read, and then sends none of the run's later segments either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from runferry.transaction_log import TransactionLog, write_log
from runferry.wandb_messages import parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from runferry.run_folder import RunFolder
    from runferry.segment import Segment


@dataclass
class There:
    """How many lines of each stream the server has of a run, of which the first segments make up the beginning."""

    history: int = 0
    events: int = 0
    """System metrics."""
    output: int = 0
    """Lines of the console. What a terminal shows as one line may have been written in many; so at the place where
    an earlier sync stopped, lines of the console can be missing or twice. Rows of the history never are."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.history or self.events or self.output)


def folder_to_send(segment: Segment, folder: RunFolder, there: There) -> Path:
    """Give the folder to sync, and take off `there` what of it is in this segment.

    Raises
    ------
    OSError
        When a copy is needed and cannot be written.
    """
    if not segment.damage and not there:
        return segment.folder
    copy = folder.path / "resent" / segment.name
    write_log(copy / segment.file.name, _without(there, TransactionLog(segment.file)))
    files = copy / "files"
    if not files.exists() and (segment.folder / "files").exists():
        files.symlink_to((segment.folder / "files").resolve())
    return copy


def pass_over(segment: Segment, there: There) -> None:
    """Take off `there` what of it is in a segment that is not sent again."""
    if there:
        for _ in _without(there, TransactionLog(segment.file)):
            pass


def _without(there: There, records: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out the first lines of each stream; every other record stays."""
    parse = parser("Streamed")
    for payload in records:
        try:
            record = parse(payload)
        except DecodeError:
            continue
        if there.history and record.HasField("history"):
            there.history -= 1
        elif there.events and record.HasField("stats"):
            there.events -= 1
        elif there.output and record.HasField("output_raw"):
            there.output = max(there.output - record.output_raw.line.count("\n"), 0)
        else:
            yield payload
