"""What a run has on disk that can be synced: its readable segments together, and what must wait."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from runferry.errors import NotVerifiedError, SegmentError
from runferry.segment import history, read_segment
from runferry.transaction_log import TransactionLog, write_log
from runferry.wandb_messages import parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from runferry.run_folder import RunFolder
    from runferry.segment import Segment


@dataclass(frozen=True)
class OnDisk:
    """What the segments of one run say together."""

    segments: tuple[Segment, ...]
    """In the order of their start."""

    @property
    def run_id(self) -> str:
        """The W&B run id, the same in all of them."""
        return self.segments[0].run_id

    @property
    def history_lines(self) -> int:
        """Rows that can be read."""
        return sum(segment.history_count for segment in self.segments)

    @property
    def last_step(self) -> int | None:
        """The last step of a run with one segment; None where several are renumbered by the server as they come."""
        return self.segments[0].last_step if len(self.segments) == 1 else None

    @property
    def state(self) -> str:
        """`finished` where the last segment says exit code 0, else `failed`."""
        return "finished" if self.segments[-1].exit_code == 0 else "failed"

    @property
    def summary(self) -> dict[str, Any]:
        """The last value of each metric, later segments over earlier ones."""
        together: dict[str, Any] = {}
        for segment in self.segments:
            together |= segment.summary
        return together


def read_disk(folder: RunFolder) -> OnDisk:
    """Read the segments that can be synced.

    Raises
    ------
    NotVerifiedError
        When there is none, the run is still training, or the segments are of several W&B runs.
    """
    _refuse_running(folder)
    segments: list[Segment] = []
    unreadable: list[str] = []
    for path in folder.segments():
        try:
            segment = read_segment(path)
        except SegmentError as error:
            unreadable.append(str(error))
            continue
        if not segment.empty:
            segments.append(segment)
    if unreadable and not segments:
        raise NotVerifiedError(unreadable[0])
    if not segments:
        message = f"no record on disk: {_why_no_segment(folder)}"
        raise NotVerifiedError(message)
    ids = {segment.run_id for segment in segments}
    if len(ids) > 1:
        message = f"found segments of {len(ids)} W&B runs ({', '.join(sorted(ids))}), expected one"
        raise NotVerifiedError(f"{message}: does the command set its own run id?")
    return OnDisk(tuple(segments))


def _why_no_segment(folder: RunFolder) -> str:
    attempts = folder.attempts()
    if not attempts:
        return "the run has not been started"
    last = attempts[-1]
    if last.get("message"):
        return f"the last attempt ended with: {last['message']}"
    return f"the command never called wandb.init; see {folder.log_file}"


def _refuse_running(folder: RunFolder) -> None:
    attempts = folder.attempts()
    if not attempts or attempts[-1].get("outcome") != "running":
        return
    last = attempts[-1]
    if last.get("host") == socket.gethostname() and not _alive(int(last["pid"])):
        return
    since = f"attempt {last['attempt']} on {last.get('host')} since {last.get('start')}"
    raise NotVerifiedError(f"still training ({since}); sync it when it has ended")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def folder_to_send(segment: Segment, folder: RunFolder, rows_there: int = 0) -> Path:
    """Give the folder to sync: the segment's own, or a copy where that cannot be sent as it is.

    A damaged segment is copied as far as it can be read: `wandb sync` stops at the first unreadable byte, and then
    sends none of the run's later segments. A segment of which the server has the first rows is copied without them:
    `wandb sync` appends all that it reads to what the server has (wandb 0.31: the answer to UpsertBucket says where).
    """
    if not segment.damage and not rows_there:
        return segment.folder
    copy = folder.path / "resent" / segment.name
    write_log(copy / segment.file.name, _after(rows_there, TransactionLog(segment.file)))
    files = copy / "files"
    if not files.exists() and (segment.folder / "files").exists():
        files.symlink_to((segment.folder / "files").resolve())
    return copy


def step_of_row(segment: Segment, number: int) -> int | None:
    """Give the step of a row of the segment's history, counted from 0; None where there is no such row."""
    return next((row["_step"] for row in islice(history(segment.file), number, None)), None)


def _after(rows: int, records: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out the first rows of the history; every other record stays."""
    parse = parser("HistoryUnread")
    left = rows
    for payload in records:
        if left and parse(payload).HasField("history"):
            left -= 1
        else:
            yield payload
