"""What a site's program answers, within a time: unlike `runferry.slurm.ask`, which needs no reason, with why not."""

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


class NoAnswerError(RunferryError):
    """A program is not there, did not answer in time, or failed."""


def answer_of(
    *command: str, seconds: float = SECONDS, variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    """Run a program and return what it printed on stdout and stderr, without the last line's end.

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

    Raises
    ------
    NoAnswerError
        When it is not there, takes longer or fails; the message has the last line that it printed.
    """
    name = command[0]
    if shutil.which(name) is None:
        message = f"there is no {name} on the PATH"
        raise NoAnswerError(message)
    # A file, not a pipe: a pipe is read to its end, which what the program has started may hold open after it.
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        try:
            done = subprocess.run(
                command,
                env=variables,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
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
        said = output.read().strip()
    if done.returncode:
        last = said.splitlines()[-1].strip() if said else "nothing"
        message = f"{name} failed (exit code {done.returncode}) and said: {last}"
        raise NoAnswerError(message)
    return said
