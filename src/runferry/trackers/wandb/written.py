"""Read how far a segment has been written: its rows and the exit code at its end."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

from runferry.errors import SegmentError
from runferry.trackers.wandb.told import is_row
from runferry.trackers.wandb.wire import fields

_EXIT, _EXIT_CODE = 18, 1
_LOOK_AT_CLOCK = 4096
"""Records between two looks at the clock."""

_TAIL_BYTES = 1 << 16
_NOT_SAVED = re.compile(rb'failed to save record: [^"]*: ([^":]+)"')


def log_of(segment: Path) -> Path | None:
    """Find the transaction log of a segment by its name alone; None where there is none."""
    with suppress(OSError), os.scandir(segment) as entries:
        for entry in entries:
            if entry.name.startswith("run-") and entry.name.endswith(".wandb"):
                return Path(entry.path)
    return None


def exit_code_of(log: Path) -> int | None:
    """Return the exit code at the end of a transaction log; None where it has none, or cannot be read."""
    from runferry.trackers.wandb.log.tail import LogTail

    # What comes behind it (the summary, the config) is small but for some.
    for blocks in (2, 64, 1 << 20):
        records: list[bytes] = []
        with suppress(OSError):
            records = LogTail(log).records_near_end(blocks)
        for record in records:
            found = next((value for number, _, value in fields(record) if number == _EXIT), None)
            if isinstance(found, bytes):
                return next(
                    (value for each, _, value in fields(found) if each == _EXIT_CODE and isinstance(value, int)), 0
                )
    return None


def rows_in(log: Path, seconds: float) -> int | None:
    """Count the rows of a transaction log, those too that W&B's client sends to no server for their size.

    Parameters
    ----------
    log
        What cannot be read of it has no rows.
    seconds
        For which it may take.

    Returns
    -------
    int or None
        None where the time was too short.
    """
    from runferry.trackers.wandb.log.framing import TransactionLog

    end = time.monotonic() + seconds
    rows = 0
    with suppress(OSError, SegmentError):
        for number, record in enumerate(TransactionLog(log)):
            rows += is_row(record)
            if number % _LOOK_AT_CLOCK == 0 and time.monotonic() > end:
                return None
    return rows


def why_not_written(segment: Path) -> str | None:
    """Return why wandb-core could not write a segment, by its own log; None where that does not say."""
    with suppress(OSError), (segment / "logs" / "debug-internal.log").open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
        found = _NOT_SAVED.findall(file.read())
        return found[-1].decode(errors="replace") if found else None
    return None
