"""Run a site's program within a time limit; unlike `runferry.runs.slurm.ask` report why it did not answer."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from runferry.errors import RunferryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECONDS = 10.0
"""For one question."""
_MOST = 400
"""Characters of what a program that fails has said."""


class NoAnswerError(RunferryError):
    """A program that is not installed, did not answer in time, or failed."""


def answer_of(
    *command: str,
    seconds: float = SECONDS,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
    errors_too: bool = False,
) -> str:
    """Run a program and return what it printed on stdout, without the last line's end.

    Parameters
    ----------
    command
        Its name, looked for on this process's PATH, and its arguments.
    seconds
        How long it may take.
    variables
        Its environment; this process's by default.
    folder
        Where it runs.
    errors_too
        Whether what it printed on stderr comes after it.

    Raises
    ------
    NoAnswerError
        When it is not there, takes longer or fails; the message has what it printed on stderr.
    """
    name = command[0]
    if shutil.which(name) is None:
        message = f"there is no {name} on the PATH"
        raise NoAnswerError(message)
    # Files, not pipes: a pipe is read to its end, which what the program has started may hold open after it.
    with (
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        try:
            done = subprocess.run(
                command,
                env=variables,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            message = f"{name} did not answer within {seconds:g} s"
            raise NoAnswerError(message) from None
        except OSError as error:
            message = f"{name} could not be started ({error.strerror})"
            raise NoAnswerError(message) from error
        output.seek(0)
        errors.seek(0)
        said, complained = output.read().strip(), errors.read().strip()
    if done.returncode:
        # A site's plugin says in several lines why it refuses a job; Slurm's own last one only that it does.
        lines = " / ".join((complained or said or "nothing").splitlines())
        message = f"{name} failed (exit code {done.returncode}) and said: {lines[:_MOST]}"
        raise NoAnswerError(message)
    return "\n".join(filter(None, (said, complained))) if errors_too else said
