"""Check whether locks hold between two processes, in the ways that `runferry.sync.lock` and others take them."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.doctor.finding import Finding
from runferry.doctor.storage import on_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

ABOUT = "locks"
SECONDS = 20.0
_ELSEWHERE = "put results/ onto another file system"
_REFUSED, _TAKEN, _NOT_SUPPORTED = 0, 1, 2
_BUSY = {errno.EACCES, errno.EAGAIN}


def locks(folder: Path) -> Iterator[Finding]:
    """Test locks in a temporary folder below `folder`, and yield the findings."""
    yield Finding(ABOUT, "file system", "info", f"{folder}: {on_disk(folder)}")
    with tempfile.TemporaryDirectory(prefix=".runferry-doctor-", dir=folder) as name:
        place = Path(name)
        kinds: dict[str, Callable[[int, int], None]] = {"flock": fcntl.flock, "fcntl": fcntl.lockf}
        for kind, lock in kinds.items():
            yield _between_processes(place / kind, kind, lock)
        yield _link(place)


def other_takes(file: Path) -> str:
    """Try to take an flock that another machine may hold; return "refused", "taken", or why neither."""
    with file.open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return "refused" if error.errno in _BUSY else str(error.strerror)
    return "taken"


@contextmanager
def held(file: Path) -> Generator[None]:
    """Hold an flock; where the file system has no locks, hold nothing."""
    with file.open("w") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _between_processes(file: Path, kind: str, lock: Callable[[int, int], None]) -> Finding:
    what = f"{kind} between two processes of {socket.gethostname()}"
    with file.open("w") as handle:
        try:
            lock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            todo = "" if kind == "fcntl" else "runferry sync goes by a file then (.sync/holder.json)"
            return Finding(ABOUT, what, "differs", f"none: {error.strerror}", "a lock", todo)
        meanwhile = _another_process(file, lock)
    afterwards = _another_process(file, lock)
    if (meanwhile, afterwards) == (_REFUSED, _TAKEN):
        return Finding(ABOUT, what, "ok", "held by one it is refused to the other, afterwards it is not")
    found = "both have it at once" if meanwhile == _TAKEN else "it stays refused after it was given back"
    return Finding(ABOUT, what, "problem", found, "one at a time", _ELSEWHERE)


def _another_process(file: Path, lock: Callable[[int, int], None]) -> int:
    child = os.fork()
    if child == 0:
        outcome = _NOT_SUPPORTED
        try:
            with file.open("r+") as handle:
                lock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                outcome = _TAKEN
        except OSError as error:
            outcome = _REFUSED if error.errno in _BUSY else _NOT_SUPPORTED
        finally:
            os._exit(outcome)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _link(place: Path) -> Finding:
    what = "a hard link is made by one only"
    first, second, name = place / "first", place / "second", place / "name"
    first.touch()
    second.touch()
    try:
        name.hardlink_to(first)
    except OSError as error:
        return Finding(ABOUT, what, "problem", f"none can be made: {error.strerror}", "hard links", _ELSEWHERE)
    try:
        name.hardlink_to(second)
    except FileExistsError:
        return Finding(ABOUT, what, "ok", "the second one is refused")
    return Finding(ABOUT, what, "problem", "a second one replaced the first", "refused", _ELSEWHERE)
