"""Read the last lines of a run's log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


#: Bytes of the log that are looked at, from its end.
_TAIL_BYTES = 64 * 1024

#: Of the end of a failed run's log, where its error is shown.
LINES_SHOWN = 10

#: Characters of a line of the log that are repeated.
_LONGEST_LINE = 200

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

#: How the launcher's first line of an attempt begins.
_ATTEMPT = "runferry: attempt "


def read_tail(log: Path, begin: int = 0) -> str:
    """Read the end of a log, 64 KiB at most, and nothing before `begin` (bytes)."""
    with log.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(begin, end - _TAIL_BYTES))
        return file.read().decode(errors="replace")


def last_lines(tail: str, count: int) -> list[str]:
    """Return the last lines that a command printed itself, in their order, as a terminal shows them.

    Without empty lines, colours, what a progress bar has overwritten, and the lines of wandb and of runferry; of the
    last attempt only, where the log holds several.
    """
    found: list[str] = []
    for line in reversed(_COLOUR.sub("", tail).split("\n")):
        text = line.rstrip().split("\r")[-1]
        if len(found) == count or text.startswith(_ATTEMPT):
            break
        # wandb's closing words come after the traceback.
        if text.strip() and not text.startswith(("wandb:", "runferry:")):
            found.append(text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…")
    return found[::-1]


def end_of_log(log: Path, begin: int = 0) -> str:
    """Return the last lines that a command printed, each quoted on its own line; "" where it printed nothing.

    Parameters
    ----------
    log
        What the command printed.
    begin
        Where the attempt's part of it begins, in bytes.
    """
    try:
        lines = last_lines(read_tail(log, begin), LINES_SHOWN)
    except OSError:
        return ""
    return "".join(f"    | {line}\n" for line in lines)
