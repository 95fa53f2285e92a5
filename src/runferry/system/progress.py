"""What long work shows of its progress: a bar for a person, plain lines for a log, JSON lines for a machine."""

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
    """How much is sent: of all that has to be, or so far."""

    runs: int = 0
    records: int = 0
    """Rows of the history."""
    bytes: int = 0
    """Of transaction logs and files, on disk."""

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.runs + other.runs, self.records + other.records, self.bytes + other.bytes)


class Progress:
    """Says nothing; the base of those below."""

    def say(self, line: str) -> None:
        """Take a line for a person."""

    def sent(self, done: Amount, total: Amount) -> None:
        """Take how much has been sent so far."""

    def read(self, done: int, total: int) -> None:
        """Take how many runs have been read so far."""

    def verified(self, run: str, problem: str | None, **more: Any) -> None:
        """Take what became of one run."""

    def end(self) -> None:
        """Nothing more comes."""


class Lines(Progress):
    """Plain lines, as a log wants them: what is said at once, how far it is every ten seconds."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._next = time.monotonic() + LINE_SECONDS

    def say(self, line: str) -> None:
        """Print a line."""
        print(f"runferry: {line}", file=self._stream, flush=True)

    def sent(self, done: Amount, total: Amount) -> None:
        """Print how far it is, where the last line of this kind is long enough ago."""
        self._show(_part(done.bytes, total.bytes), f"sent {words(done, total)}")

    def read(self, done: int, total: int) -> None:
        """Print how far it is, as `sent` does."""
        self._show(_part(done, total), f"read {done:,} of {total:,} runs")

    def _show(self, _part: float, text: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_SECONDS
            self.say(text)


class Bar(Lines):
    """One line on a terminal that is written over and over, and lines above it."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        super().__init__(stream)
        self._shown = ""

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._clear()
        super().say(line)
        self._draw()

    def end(self) -> None:
        """Take the bar away."""
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
    """One JSON object a line: `{"event": "said" | "sent" | "run", ...}`."""

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
    """Say how far it is, as `57 of 100 runs, 5,700 of 10,000 records, 3.2 of 5.6 MB`."""
    return (
        f"{done.runs:,} of {total.runs:,} runs, {done.records:,} of {total.records:,} records, "
        f"{done.bytes / 1e6:.1f} of {total.bytes / 1e6:.1f} MB"
    )


def _part(done: int, total: int) -> float:
    return min(done / total, 1.0) if total else 1.0


def progress_for(*, as_json: bool) -> Progress:
    """Choose by what was asked for, and by whether a person looks at stderr."""
    if as_json:
        return JsonLines()
    return Bar() if sys.stderr.isatty() else Lines()
