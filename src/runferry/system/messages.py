"""Turn the end of a command into an exit code and, where it failed, one line for the user."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import RunferryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


DEBUG = "RUNFERRY_DEBUG"
"""Set to anything but 0 it is the same as `--debug`, also for the commands that a rule types."""


INTERRUPTED = 130
"""What a shell calls the exit code of a command that Ctrl-C ended."""


def exit_code_of(command: Callable[[], int], *, words: Sequence[str], debug: bool = False) -> int:
    """Run `command` and return its exit code; print an error as one line on stderr.

    Parameters
    ----------
    command
        Returns an exit code, or raises.
    words
        What was typed after `runferry`.
    debug
        Whether to show a traceback with an error; `RUNFERRY_DEBUG` asks for it too.
    """
    debug = debug or debug_wanted()
    try:
        return command()
    except RunferryError as error:
        show_traceback(debug=debug)
        say(with_next_step(error, ["runferry", *words]))
        return error.exit_code
    except KeyboardInterrupt:
        say(f"interrupted; what is done is kept; for the rest run: {typed(['runferry', *words])}")
        return INTERRUPTED
    except OSError as error:
        # A full disk or a folder without permission is the user's to fix, not a defect.
        show_traceback(debug=debug)
        where = f"{error.filename}: " if error.filename else ""
        again = typed(["runferry", *words])
        say(f"{where}found: {error.strerror or error}, expected what can be read or written; fix it, then run: {again}")
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets one line
        show_traceback(debug=debug)
        first_line = str(error).partition("\n")[0]
        say(
            f"a defect of runferry's: found {type(error).__name__}: {first_line}, expected no such error; "
            f"for the traceback, to be attached to an issue, run: runferry --debug {shlex.join(words)}"
        )
        return 1


def say(line: str) -> None:
    """Print a line for the user on stderr."""
    sys.stderr.write(f"runferry: {line}\n")
    sys.stderr.flush()


def debug_wanted() -> bool:
    """Return whether the environment asks for tracebacks."""
    return os.environ.get(DEBUG, "") not in {"", "0"}


def show_traceback(*, debug: bool) -> None:
    """Print the traceback of the error that is being handled, where `debug` asks for it."""
    if debug:
        import traceback

        traceback.print_exc()


STARTED_BY = "RUNFERRY_STARTED_BY"
"""What the user typed, for the commands that rules and jobs type: they inherit it."""


def note_command() -> None:
    """Record this process's command as the one that the user typed, unless a parent process has done so."""
    os.environ.setdefault(STARTED_BY, shlex.join(_own_words()))


def typed(words: Sequence[str]) -> str:
    """Return the command that the user typed, as far back as it is known; `words` where it was not recorded."""
    return os.environ.get(STARTED_BY) or shlex.join(words)


def with_next_step(error: RunferryError, words: Sequence[str] | None = None) -> str:
    """Return an error's line with the next command to type, unless it names one itself.

    Parameters
    ----------
    words
        The command that failed; by default this process's own.
    """
    text = str(error)
    if re.search("[;,] run: ", text):
        return text
    command = error.next_command or typed(words or _own_words())
    return f"{text}; {error.before_next}: {command}"


def _own_words() -> list[str]:
    program = Path(sys.argv[0])
    # python -m snakemake
    name = program.parent.name if program.name == "__main__.py" else program.name
    return [name, *sys.argv[1:]]
