"""Rebuild the lines that a run printed as W&B's server holds them, without text that a progress bar overwrote.

A segment holds what was written to the two streams piece by piece; wandb's client makes lines of it with a small
terminal, and counts them when it goes on with a run. So a sync that sends lines itself, or counts existing ones, has
to do the same. (Behaviour of wandb-core 0.22 to 0.31, `core/internal/terminalemulator` and `runconsolelogs`; a test
compares every line with what the client sends.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runferry.trackers.wandb.log.records import parsed_records

if TYPE_CHECKING:
    from pathlib import Path

CONSOLE_FILE = "output.log"
"""What wandb calls it, on the server and in `files/` of a segment."""
CHANGEABLE_LINES = 32
"""Of both streams together: one that is further up is not changed any more."""
STDOUT_HEIGHT = 32
STDERR_HEIGHT = 4096
LONGEST_LINE = 4096
"""Characters; what comes behind is dropped."""
_STDOUT = 1
_PIECES = re.compile(r"[^\r\n\x1b]+|[\r\n\x1b]")


@dataclass
class ConsoleLine:
    """One line of the console."""

    prefix: str
    """`ERROR ` where it was written to stderr."""
    begun: datetime
    """When its first character was written, UTC."""
    text: str = ""

    def as_sent(self) -> str:
        """Return the line in the form in which wandb's client sends it."""
        return f"{self.prefix}{self.begun.strftime('%Y-%m-%dT%H:%M:%S.%f')} {self.text}"


def console_lines(log: Path) -> list[ConsoleLine]:
    """Return the lines that a segment printed, in the order in which they were begun.

    Raises
    ------
    SegmentError, OSError
        As reading a `TransactionLog` does.
    """
    lines: list[ConsoleLine] = []
    terminals = {True: _Terminal(lines, "", STDOUT_HEIGHT), False: _Terminal(lines, "ERROR ", STDERR_HEIGHT)}
    for record in parsed_records(log, "Printed"):
        if record.HasField("output_raw"):
            raw = record.output_raw
            terminals[raw.output_type == _STDOUT].write(raw.line, _time_of(raw.timestamp))
    return lines


class _Terminal:
    """One of the two streams; lines of both go into one list."""

    def __init__(self, lines: list[ConsoleLine], prefix: str, height: int) -> None:
        self._lines = lines
        self._prefix = prefix
        self._height = height
        # Numbers of the lines that the cursor can still come to.
        self._view: list[int] = []
        self._row = self._column = 0
        self._escape = ""

    def write(self, text: str, now: datetime) -> None:
        for piece in _PIECES.findall(text):
            if self._escape:
                self._go_on_with_escape(piece, now)
            else:
                self._take(piece, now)

    def _take(self, piece: str, now: datetime) -> None:
        if piece == "\n":
            self._column = 0
            self._down()
        elif piece == "\r":
            self._column = 0
        elif piece == "\x1b":
            self._escape = piece
        else:
            self._put(piece, now)

    def _go_on_with_escape(self, piece: str, now: datetime) -> None:
        """Move the cursor up or down; any other sequence is text, as are the characters behind it."""
        for place, character in enumerate(piece):
            if self._escape == "\x1b" and character == "[":
                self._escape += character
                continue
            if self._escape == "\x1b[" and character in "AB":
                self._escape = ""
                if character == "B":
                    self._down()
                else:
                    self._row = max(self._row - 1, 0)
            else:
                unknown, self._escape = self._escape, ""
                self._put(unknown + character, now)
            if rest := piece[place + 1 :]:
                self._take(rest, now)
            return

    def _down(self) -> None:
        self._row += 1
        if self._row >= self._height:
            del self._view[:1]
            self._row -= 1

    def _put(self, text: str, now: datetime) -> None:
        while self._row >= len(self._view):
            self._view.append(len(self._lines))
            self._lines.append(ConsoleLine(self._prefix, now))
        number = self._view[self._row]
        if number >= len(self._lines) - CHANGEABLE_LINES:
            line = self._lines[number]
            before, after = line.text[: self._column].ljust(self._column), line.text[self._column + len(text) :]
            line.text = (before + text + after)[:LONGEST_LINE]
        self._column += len(text)


def _time_of(timestamp: Any) -> datetime:
    return datetime.fromtimestamp(timestamp.seconds + timestamp.nanos / 1e9, UTC)
