"""Show the progress of long work: a bar for a user, plain lines for a log, JSON lines for a program."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import IO, Any

BAR_CHARACTERS = 24
LINE_SECONDS = 10.0
"""Between two lines of progress in a log."""


@dataclass(frozen=True)
class Amount:
    """The amount of data to send, or sent so far."""

    runs: int = 0
    records: int = 0
    """Rows of the history."""
    bytes: int = 0
    """Of transaction logs and files, on disk."""

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.runs + other.runs, self.records + other.records, self.bytes + other.bytes)


class Progress:
    """Shows nothing; the base class of those below."""

    def say(self, line: str) -> None:
        """Take a line for the user."""

    def sent(self, done: Amount, total: Amount) -> None:
        """Take the amount that has been sent so far."""

    def read(self, done: int, total: int) -> None:
        """Take the number of runs that have been read so far."""

    def verified(self, run: str, problem: str | None, **more: Any) -> None:
        """Take the result of one run."""

    def end(self) -> None:
        """End the display: nothing more is shown."""


class Lines(Progress):
    """Prints plain lines for a log: messages at once, progress every ten seconds."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._next = time.monotonic() + LINE_SECONDS

    def say(self, line: str) -> None:
        """Print a line."""
        print(f"runferry: {line}", file=self._stream, flush=True)

    def sent(self, done: Amount, total: Amount) -> None:
        """Print the amount sent, where the last line of progress is long enough ago."""
        self._show(_part(done.bytes, total.bytes), f"sent {words(done, total)}")

    def read(self, done: int, total: int) -> None:
        """Print the number of runs read, as rarely as `sent` does."""
        self._show(_part(done, total), f"read {done:,} of {total:,} runs")

    def _show(self, _part: float, text: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            self.say(text)


class Bar(Lines):
    """Draws one line on a terminal, written over and over, and prints messages above it."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        super().__init__(stream)
        self._shown = ""

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._clear()
        super().say(line)
        self._draw()

    def end(self) -> None:
        """Remove the bar."""
        self._clear()
        self._shown = ""

    def _show(self, part: float, text: str) -> None:
        full = round(part * BAR_CHARACTERS)
        self._clear()
        self._shown = f"[{'#' * full}{'.' * (BAR_CHARACTERS - full)}] {text}"
        self._draw()

    def _clear(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")

    def _draw(self) -> None:
        self._stream.write(self._shown)
        self._stream.flush()


class JsonLines(Progress):
    """Prints one JSON object a line: `{"event": "said" | "sent" | "run", ...}`."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout

    def say(self, line: str) -> None:
        """Print `{"event": "said", "line": ...}`."""
        self._print(event="said", line=line)

    def sent(self, done: Amount, total: Amount) -> None:
        """Print `{"event": "sent", "runs": ..., "records": ..., "bytes": ..., "of": {...}}`."""
        self._print(event="sent", **asdict(done), of=asdict(total))

    def verified(self, run: str, problem: str | None, **more: Any) -> None:
        """Print `{"event": "run", "run": ..., "verified": ..., "problem": ..., ...}`."""
        self._print(event="run", run=run, verified=problem is None, problem=problem, **more)

    def _print(self, **content: Any) -> None:
        print(json.dumps(content, ensure_ascii=False), file=self._stream, flush=True)


def words(done: Amount, total: Amount) -> str:
    """Describe the progress, as `57 of 100 runs, 5,700 of 10,000 records, 3.2 of 5.6 MB`."""
    return (
        f"{done.runs:,} of {total.runs:,} runs, {done.records:,} of {total.records:,} records, "
        f"{done.bytes / 1e6:.1f} of {total.bytes / 1e6:.1f} MB"
    )


def _part(done: int, total: int) -> float:
    return min(done / total, 1.0) if total else 1.0


def progress_for(*, as_json: bool) -> Progress:
    """Return the display that fits: JSON lines where asked for, a bar on a terminal, else plain lines."""
    if as_json:
        return JsonLines()
    return Bar() if sys.stderr.isatty() else Lines()
