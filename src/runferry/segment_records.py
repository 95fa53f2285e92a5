"""The records of a transaction log, parsed as far as somebody wants to look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runferry.transaction_log import TransactionLog
from runferry.wandb_messages import parser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def parsed_records(file: Path, message: str) -> Iterator[Any]:
    """Yield the records of a transaction log as `message`, one of `runferry.wandb_messages.FIELDS`.

    What is no such message is left out, as are bytes that cannot be read. Fields that the message does not declare
    cost next to nothing.

    Raises
    ------
    SegmentError, OSError
        As reading a `TransactionLog` does.
    """
    parse = parser(message)
    for payload in TransactionLog(file):
        try:
            yield parse(payload)
        except DecodeError:
            continue


def history_records(file: Path) -> Iterator[Any]:
    """Yield the history records of a transaction log, as `parsed_records` does."""
    for record in parsed_records(file, "HistoryOnly"):
        if record.HasField("history"):
            yield record.history


def count_events(file: Path) -> int:
    """Count the records of system metrics, of which each is a line on the server; as `parsed_records` does."""
    return sum(record.HasField("stats") for record in parsed_records(file, "Streamed"))
