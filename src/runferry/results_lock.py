"""One process at a time brings runs of a results folder to the server, checks them there or deletes what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

LOCK_FILE = ".sync.lock"
"""In the results folder. Holds among the processes of one machine."""


def results_lock(results: Path, say: Callable[[str], None]) -> AbstractContextManager[object]:
    """Take the lock of a results folder; when another process has it, say so and wait.

    Parameters
    ----------
    results
        The folder that holds the experiments' folders.
    say
        Takes a line for a person.
    """
    lock = FileLock(results / LOCK_FILE)
    try:
        return lock.acquire(timeout=2)
    except Timeout:
        say(f"waiting for another runferry sync of {results} to end")
        return lock.acquire()
