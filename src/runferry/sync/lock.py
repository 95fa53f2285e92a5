"""Lock a results folder, so that one process at a time uploads its runs, verifies them or deletes segments.

What is guaranteed:

- **On one machine**: one holder at a time, by the kernel (`flock`). It ends with the process, however that ends.
- **Across machines**: where the file system carries `flock` from node to node (NFS, Lustre mounted with `flock`), the
  same. Where it does not (Lustre with `localflock` or without), the file `.sync/holder.json` decides: it is made in one
  step that only one of several can do (a hard link, which is atomic on NFS and Lustre too), names host and process,
  and its time is set anew every few seconds. A holder of which nothing was heard for a minute is taken for gone. The
  times compared are both the file server's, so that clocks of nodes that differ do no harm.
- A holder that was only stopped for longer than a minute and goes on finds that it is not the holder any more before
  it sends the next batch (`Hold.check`). What both sent in between is found afterwards: the server has more rows than
  the disk then, and no receipt is written.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from runferry.errors import RunferryError
from runferry.runs.folder import FOLDER
from runferry.system import locks
from runferry.system.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


LOCK_FILE = ".sync.lock"
"""In the results folder. Holds among the processes of one machine at least."""


BEAT_SECONDS = 10.0


SILENT_SECONDS = 60.0
"""After which a holder on another machine is taken for gone."""


class LockLostError(RunferryError):
    """Raised when another machine took the lock, because this process was stopped for too long."""

    before_next = "afterwards run"


class LockBusyError(RunferryError):
    """Raised when another process holds the lock and the caller does not wait."""

    before_next = "afterwards run"


class Hold:
    """The lock of a results folder while it is held."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._file = results / FOLDER / "holder.json"
        self._name = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"
        self._ended = Event()
        self._beats: Thread | None = None

    def check(self) -> None:
        """Check that the lock is still held.

        Raises
        ------
        LockLostError
            When another machine has taken it.
        """
        holder = _read(self._file)
        if holder is None or holder.get("name") != self._name:
            by = holder["host"] if holder else "a process that has ended"
            message = f"{self.results}: expected to hold the lock, found that {by} took it while this one was suspended"
            raise LockLostError(message)

    def take(self, say: Callable[[str], None], *, flock: bool, wait: bool = True) -> None:
        """Acquire the lock once no other process holds it; `flock`: whether this machine's processes are excluded."""
        mine = self._file.with_name(f".{self._name}")
        said = False
        while True:
            mine.write_text(json.dumps({"name": self._name, "host": socket.gethostname(), "pid": os.getpid()}))
            try:
                os.link(mine, self._file)
                break
            except FileExistsError:
                holder, silent_for = _read(self._file), _age(mine, self._file)
                if _is_gone(holder, silent_for, flock=flock):
                    self._remove(holder)
                    continue
                if not wait:
                    raise _busy(self.results) from None
            finally:
                mine.unlink()
            if not said and holder:
                said = True
                say(f"waiting for runferry on {holder['host']} (process {holder['pid']}), which syncs {self.results}")
            time.sleep(1.0)
        self._beats = Thread(target=self._beat, daemon=True)
        self._beats.start()

    def release(self) -> None:
        """Release the lock."""
        self._ended.set()
        if self._beats:
            self._beats.join()
        holder = _read(self._file)
        if holder and holder.get("name") == self._name:
            self._file.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            holder = _read(self._file)
            if holder and holder.get("name") == self._name:
                with suppress(OSError):
                    os.utime(self._file)

    def _remove(self, holder: dict[str, Any] | None) -> None:
        """Remove what a holder that is gone left; two that do so at once do not remove each other's."""
        aside = self._file.with_name(f".gone-{self._name}")
        with suppress(FileNotFoundError):
            self._file.rename(aside)
            if _read(aside) != holder:
                # Somebody was quicker and is the holder now.
                with suppress(FileExistsError):
                    os.link(aside, self._file)
            aside.unlink()


@contextmanager
def results_lock(results: Path, say: Callable[[str], None], *, wait: bool = True) -> Generator[Hold]:
    """Hold the lock of a results folder; while another process has it, report that after two seconds and wait.

    Parameters
    ----------
    results
        The folder that holds the experiments' folders.
    say
        Takes a line for the user.
    wait
        False gives up at once where another process has it.

    Raises
    ------
    LockBusyError
        When it is not to be waited for.
    """
    (results / FOLDER).mkdir(exist_ok=True)
    descriptor = os.open(results / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        flock = _take_flock(descriptor, results, say, wait=wait)
        hold = Hold(results)
        hold.take(say, flock=flock, wait=wait)
        try:
            yield hold
        finally:
            hold.release()
    finally:
        os.close(descriptor)


def _take_flock(descriptor: int, results: Path, say: Callable[[str], None], *, wait: bool) -> bool:
    """Wait for the kernel's lock; False where the file system has none."""
    for _ in range(20):
        held = locks.take(descriptor, wait=False)
        if held is not False:
            return held is True
        if not wait:
            raise _busy(results)
        time.sleep(0.1)
    say(f"waiting for another runferry sync of {results} to end")
    return locks.take(descriptor, wait=True) is True


def _busy(results: Path) -> LockBusyError:
    return LockBusyError(f"{results}: found another runferry sync at work there, expected none")


def _is_gone(holder: dict[str, Any] | None, silent_for: float, *, flock: bool) -> bool:
    if holder and holder.get("host") == socket.gethostname():
        # With the kernel's lock in our hands, no other process of this machine is the holder.
        return flock or not is_alive(int(holder["pid"]))
    return silent_for > SILENT_SECONDS


def _age(now: Path, file: Path) -> float:
    """Seconds since a file's time was set, by the clock that has just stamped another one."""
    try:
        return now.stat().st_mtime - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
