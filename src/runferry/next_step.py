"""The last part of what is said of an error: the command to type next."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.errors import RunferryError

STARTED_BY = "RUNFERRY_STARTED_BY"
"""What a person typed, for the commands that rules and jobs type: they inherit it."""


def note_command() -> None:
    """Write down for child processes that a person typed this process's command, unless a parent process has."""
    os.environ.setdefault(STARTED_BY, shlex.join(_own_words()))


def typed(words: Sequence[str]) -> str:
    """Return what a person typed, as far back as it is known; `words` where nobody wrote it down."""
    return os.environ.get(STARTED_BY) or shlex.join(words)


def with_next_step(error: RunferryError, words: Sequence[str] | None = None) -> str:
    """Add to an error's line what to type next, unless it says that itself.

    Parameters
    ----------
    words
        The command that failed; by default this process's own.
    """
    text = str(error)
    if "; type: " in text:
        return text
    command = error.next_command or typed(words or _own_words())
    return f"{text}; {error.before_next}: {command}"


def _own_words() -> list[str]:
    program = Path(sys.argv[0])
    # python -m snakemake
    name = program.parent.name if program.name == "__main__.py" else program.name
    return [name, *sys.argv[1:]]
