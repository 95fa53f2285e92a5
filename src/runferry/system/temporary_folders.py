"""Make temporary folders that are locked while a process uses them, and remove those whose processes were killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.system.locks import take

if TYPE_CHECKING:
    from collections.abc import Generator

# Not `runferry-`: such a one is of a version that did not lock it, and may be in use.
_PREFIX = "runferry_"
# As `tempfile.mkdtemp` names them.
_NAME = re.compile(_PREFIX + "[a-z0-9_]{8}")


@dataclass(frozen=True)
class OwnedFolder:
    """A temporary folder of this process's and of those that it forks (not of programs that they start).

    The kernel gives the lock back when the last of them has ended, however that was.
    """

    path: Path
    lock: int
    """A file descriptor of the folder."""

    @classmethod
    def make(cls, parent: str | None = None) -> OwnedFolder:
        """Make a folder.

        Parameters
        ----------
        parent
            Where; by default where temporary files go.

        Raises
        ------
        OSError
            When it cannot be made.
        """
        while True:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            with suppress(FileNotFoundError):
                lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
                # On a filesystem without locks nobody gets one, and nobody removes the folder.
                take(lock, wait=True)
                if path.exists():
                    return cls(path, lock)
                # Somebody took it for an abandoned one, in the moment before it was locked.
                os.close(lock)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


@contextmanager
def temporary_folder() -> Generator[Path]:
    """Make a folder that is removed at the end, or by the next process that makes one where this one is killed.

    Raises
    ------
    OSError
        When it cannot be made.
    """
    remove_abandoned()
    folder = OwnedFolder.make()
    try:
        yield folder.path
    finally:
        folder.remove()


def remove_abandoned() -> None:
    """Remove this user's folders that no process uses, where temporary files of this machine go."""
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/dev/shm")):
        with suppress(OSError):
            for name in os.listdir(parent):  # noqa: PTH208 - names only: of others there may be thousands
                if _NAME.fullmatch(name):
                    _remove_if_abandoned(f"{parent}/{name}")


def _remove_if_abandoned(folder: str) -> None:
    with suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(lock).st_uid == os.getuid() and take(lock, wait=False):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
