"""What becomes of a command: its exit code, and one line where it could not do what was asked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from runferry.errors import RunferryError

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
"""What a shell calls the exit code of a command that Ctrl-C ended."""


def exit_code_of(command: Callable[[], int], *, debug: bool = False) -> int:
    """Run `command` and return its exit code; an error that a person can mend is said in one line on stderr.

    Parameters
    ----------
    command
        Returns an exit code, or raises.
    debug
        Whether to show a traceback with an error.
    """
    try:
        return command()
    except RunferryError as error:
        _show_traceback(debug)
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; what is done is kept, run the same again for the rest")
        return INTERRUPTED
    except OSError as error:
        # A full disk or a folder without permission is the user's to mend, not a defect.
        _show_traceback(debug)
        where = f"{error.filename}: " if error.filename else ""
        say(f"{where}{error.strerror or error}")
        return 1


def say(line: str) -> None:
    """Tell a person, on stderr."""
    sys.stderr.write(f"runferry: {line}\n")
    sys.stderr.flush()


def _show_traceback(debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
