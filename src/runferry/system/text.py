"""Format numbers, times and tables for users, and read them back."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def time_in_words(minutes: int) -> str:
    """Return a number of minutes as a config writes it: 90 is `1h30m`."""
    days, rest = divmod(minutes, 1440)
    hours, left = divmod(rest, 60)
    parts = [f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (left, "m")) if number]
    return "".join(parts) or "0m"


def minutes(time: str) -> int:
    """Convert a time that the schema let through (`15m`, `1d12h`, `1-12:00`, `3:00:00`) to whole minutes, rounded up.

    Raises
    ------
    ConfigError
        When it is no time at all, as `m` or zero, or `1:30`, which sbatch takes for minutes and seconds.
    """
    if match := re.fullmatch(r"(\d+):(\d+)", time):
        found = f"time: found {time!r}, which Slurm reads as minutes:seconds"
        raise ConfigError(f"{found}, expected the unit or all three: {int(match[1])}h{match[2]}m or {time}:00")
    if match := re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?", time):
        days, hours, mins = (int(part or 0) for part in match.groups())
        total = days * 1440 + hours * 60 + mins
    elif match := re.fullmatch(r"(?:(\d+)-|(?=.*:.*:))(\d+)(?::([0-5]\d))?(?::([0-5]\d))?", time):
        days, hours, mins, seconds = (int(part or 0) for part in match.groups())
        total = days * 1440 + hours * 60 + mins + (1 if seconds else 0)
    else:
        total = 0
    if total == 0:
        message = f"time: found {time!r}, expected a time such as 15m, 3h, 1d12h or 1-12:00 (days-hours:minutes)"
        raise ConfigError(message)
    return total


def seconds(time: str) -> int:
    """Convert a short time that the schema let through (`30s`, `5m`, `1h`) to seconds."""
    return int(time[:-1]) * {"s": 1, "m": 60, "h": 3600}[time[-1]]


def mebibytes(memory: str) -> int:
    """Convert an amount of memory that the schema let through (`500M`, `1.5G`, `1T`) to MiB, as Slurm counts."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([MGT])B?", memory)
    if match is None:
        message = f"memory: found {memory!r}, expected an amount of memory such as 500M, 4G or 1T"
        raise ConfigError(message)
    return round(float(match[1]) * {"M": 1, "G": 1024, "T": 1024**2}[match[2]])


def memory_in_words(mebibytes: int) -> str:
    """Return an amount of memory in GiB, to three digits or more: 4096 is `4 GiB`, 5242880 is `5,120 GiB`."""
    gibibytes = mebibytes / 1024
    return f"{gibibytes:,.0f} GiB" if gibibytes >= 100 else f"{gibibytes:.3g} GiB"


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the known word nearest to a mistyped one, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def count_of(number: int, thing: str) -> str:
    """Return a number with its noun: 1 job, 2 jobs."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def aligned(rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> list[str]:
    """Return rows of the same length as lines, each column as wide as its widest cell.

    Parameters
    ----------
    left
        The numbers of the columns that are aligned to the left; the others are to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = [
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
