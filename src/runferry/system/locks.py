"""Lock out other processes: one does something at a time; the others wait for it and find it done."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


def take(descriptor: int, *, wait: bool) -> bool | None:
    """Take the kernel's lock of an open file or folder (`flock`); it ends with the process, however that ends.

    Parameters
    ----------
    descriptor
        Of the file. Processes that it forks hold the lock, too.
    wait
        Whether to wait for another process that holds it.

    Returns
    -------
    bool or None
        Whether it is held now; None where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextlib.contextmanager
def turn(lock: Path, waiting: Callable[[], object] = lambda: None) -> Generator[bool]:
    """Wait until no other process holds `lock`, and hold it; yield whether another one did.

    The lock ends with the process, however it ends, and its file is removed, so that none is left on a filesystem that
    counts files. On a filesystem without locks nobody waits: what is done under it must survive being done twice.

    Parameters
    ----------
    lock
        The file, whose folder exists.
    waiting
        Called once, before the process waits.
    """
    waited = False
    while True:
        with lock.open("ab") as file:
            held = take(file.fileno(), wait=False)
            if held is False:
                if not waited:
                    waiting()
                waited = True
                held = take(file.fileno(), wait=True)
            if held is None:
                yield waited
                return
            # Whoever had it may have removed the file, and a third may hold a new one by the same name.
            if not _is(lock, file.fileno()):
                continue
            try:
                yield waited
            finally:
                lock.unlink(missing_ok=True)
            return


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
