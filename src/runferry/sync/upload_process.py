"""Run a process that uploads runs, `wandb sync` or `comet upload`, within a deadline, and end it with its children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from runferry.errors import ServerError
from runferry.system.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

_MARK = "RUNFERRY_SYNC_OF"
"""In the environment of such a process and of those that it starts: the results folder that it is for."""
_LOOK_SECONDS = 0.2
_WORDS_BYTES = 20_000
_WORDS_SHOWN = 300


@contextlib.contextmanager
def sending(
    command: Sequence[str], environment: Mapping[str, str], results: Path, folder: Path, output: IO[str] | int
) -> Generator[subprocess.Popen[bytes]]:
    """Start a process that uploads runs of a results folder, whose lock is held; it ends with the context.

    Parameters
    ----------
    command
        Its arguments.
    environment
        Its variables, to which that is added by which `end_orphans` knows it.
    results
        The folder of results.
    folder
        Where it runs.
    output
        Where its stdout and stderr go.

    Raises
    ------
    ServerError
        When it cannot be started.
    """
    try:
        process = subprocess.Popen(
            command,
            env={**environment, _MARK: str(results.resolve())},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C is for runferry, which then ends it.
            start_new_session=True,
        )
    except OSError as error:
        raise ServerError(f"{command[0]}: could not be started ({error.strerror}), expected an upload") from error
    try:
        yield process
    finally:
        _end(process)


def wait_for(
    process: subprocess.Popen[bytes], what: str, base_url: str, deadline: float, look: Callable[[], None]
) -> None:
    """Wait until an upload process has ended.

    Parameters
    ----------
    process
        From `sending`.
    what
        Its name, for the message.
    base_url
        The server's address, for the message.
    deadline
        Seconds after which it is not waited for any more.
    look
        Called several times a second.

    Raises
    ------
    ServerError
        When the deadline passed, and whatever `look` raises.
    """
    end = time.monotonic() + deadline
    while process.poll() is None:
        if time.monotonic() > end:
            message = f"{base_url}: expected {what} to end, found it at work after {deadline:.0f} s"
            raise ServerError(f"{message}; it was stopped")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
        look()


def how_ended(code: int) -> str:
    """Return in words how a process ended that failed.

    >>> how_ended(-9)
    'was killed (SIGKILL; out of memory?)'
    """
    if code > 0:
        return f"failed (exit code {code})"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"was killed ({name}{'; out of memory?' if -code == signal.SIGKILL else ''})"


def last_words(output: IO[str], begin: int = 0) -> str:
    """Return in one line what a process has written last to a file: its last error, else its last line.

    Parameters
    ----------
    output
        The file, by its name; nothing where it has none.
    begin
        Bytes of it that were there before.
    """
    try:
        with Path(output.name).open("rb") as file:
            file.seek(max(begin, file.seek(0, os.SEEK_END) - _WORDS_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except (OSError, TypeError):
        return ""
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1].removeprefix("wandb: ")[:_WORDS_SHOWN]


def end_orphans(results: Path) -> bool:
    """Kill upload processes that a killed runferry left behind: they would run at the same time as the next one.

    Only the holder of the results folder's lock may call it, before the server is asked what it has. It finds
    processes of this machine and user only.

    Returns
    -------
    bool
        Whether there was one. What it had sent a moment before may not be in the server's answers yet.
    """
    found = False
    mark = f"{_MARK}={results.resolve()}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
                found = True
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it started; wandb-core, which has a session of its own, would go on trying for days."""
    for child in descendants(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    # What its parent has left behind is in its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
