"""Show a screen of lines again and again in the same place, and restore the terminal afterwards."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import IO

# Control sequences that every terminal of the last decades knows (xterm's ctlseqs): another screen without history,
# the cursor hidden, and both back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _TO_END_OF_LINE, _TO_END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_CONTROL = re.compile(r"\x1b\[[0-9;]*m")


class Screen:
    """The screen of a terminal."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def show(self, lines: Sequence[str]) -> None:
        """Replace the lines on the screen, as many as there is room for."""
        size = shutil.get_terminal_size()
        fitting = [cut(line, size.columns) for line in lines]
        if len(fitting) > size.lines:
            fitting = [
                *fitting[: size.lines - 1],
                cut(f"... and {len(lines) - size.lines + 1} lines more", size.columns),
            ]
        # Line by line over the old ones: clearing all of it first would flicker.
        text = "\r\n".join(f"{line}{_TO_END_OF_LINE}" for line in fitting)
        self._stream.write(f"{_HOME}{text}{_TO_END_OF_SCREEN}")
        self._stream.flush()


@contextmanager
def whole_screen(stream: IO[str]) -> Generator[Screen]:
    """Take the terminal's screen, and restore it however this ends."""
    stream.write(_ENTER)
    try:
        yield Screen(stream)
    finally:
        stream.write(_LEAVE)
        stream.flush()


def cut(line: str, columns: int) -> str:
    """Cut a line to the columns of a terminal; codes for colours take none."""
    if len(_CONTROL.sub("", line)) <= columns:
        return line
    kept: list[str] = []
    left = columns - 1
    place = 0
    while left > 0 and place < len(line):
        if mark := _CONTROL.match(line, place):
            kept.append(mark[0])
            place = mark.end()
            continue
        kept.append(line[place])
        place, left = place + 1, left - 1
    return "".join([*kept, "…", "\x1b[0m" if "\x1b" in line else ""])
