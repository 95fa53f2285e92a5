"""Watch results folders for live sync, one watcher for each folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError, RunferryError
from runferry.runs.folder import find_run_folders
from runferry.sync.options import words_of
from runferry.system.files import read_json, write_json
from runferry.system.locks import take

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder
    from runferry.sync.wandb.live import Watcher


SILENT_SECONDS = 300.0
"""After which a watcher on another machine is taken for gone."""


class WatchedError(RunferryError):
    """Raised when another process watches the results folder already."""

    before_next = "afterwards run"


class Syncer:
    """Syncs runs that have ended, with one `runferry sync` at a time, while the watcher goes on."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._command = [sys.executable, "-m", "runferry", "sync", "--if-any"]
        self._command += words_of(given)
        self._waiting: list[RunFolder] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, folders: Sequence[RunFolder]) -> None:
        """Take runs that have ended, and sync what waits where nothing is being synced."""
        self._waiting += folders
        if self._waiting and (self._process is None or self._process.poll() is not None):
            # A process of its own, so that the watcher goes on meanwhile and stays small.
            self._process = subprocess.Popen([*self._command, *(str(folder.path) for folder in self._waiting)])
            self._waiting = []

    def close(self) -> None:
        """Stop the sync that is under way; its results are kept."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)


def runs_below(paths: Sequence[Path]) -> list[RunFolder]:
    """List the run folders at or below some paths; a path may have none yet."""
    folders: dict[Path, RunFolder] = {}
    for path in paths:
        # The workflow may not have written the first run yet.
        with suppress(ConfigError):
            folders.update({folder.path: folder for folder in find_run_folders(path)})
    return list(folders.values())


def results_folders(paths: Sequence[Path]) -> list[Path]:
    """List the results folders that some paths lie in, or that they are.

    Raises
    ------
    ConfigError
        When a path does not exist.
    """
    found: set[Path] = set()
    for path in paths:
        if not path.is_dir():
            message = f"{path}: found no such folder, expected results/, an experiment's folder or a run's"
            raise ConfigError(message)
        runs = runs_below([path])
        found |= {run.path.resolve().parent.parent for run in runs} or {path.resolve()}
    return sorted(found)


@contextmanager
def only_watcher(results: Sequence[Path]) -> Generator[Callable[[], None]]:
    """Lock results folders for this watcher; yield a function that must be called at each look.

    On one machine the kernel decides (`flock`); a watcher on another one is known by its file, whose time it sets at
    each look.
    """
    descriptors: list[int] = []
    files = [folder / ".sync" / "watcher.json" for folder in results]
    me: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
    try:
        for file in files:
            file.parent.mkdir(exist_ok=True)
            descriptors.append(os.open(file.with_name("watcher.lock"), os.O_RDWR | os.O_CREAT, 0o666))
            other = _other(file)
            # On a file system without locks the file alone decides.
            if take(descriptors[-1], wait=False) is False:
                raise _watched(file, other)
            if other and other["host"] != me["host"] and time.time() - file.stat().st_mtime < SILENT_SECONDS:
                raise _watched(file, other)
            write_json(file, me)

        def beat() -> None:
            for file in files:
                with suppress(OSError):
                    os.utime(file)

        yield beat
        for file in files:
            if _other(file) == me:
                file.unlink(missing_ok=True)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _other(file: Path) -> dict[str, Any] | None:
    try:
        return read_json(file)
    except (OSError, ValueError):
        return None


def _watched(file: Path, other: dict[str, Any] | None) -> WatchedError:
    by = f"process {other['pid']} on {other['host']}" if other else "another process"
    return WatchedError(
        f"{file.parent.parent}: found that {by} watches it already, expected none; end that one first (Ctrl-C, or kill)"
    )


def stop_on_signals(watcher: Watcher) -> None:
    """Stop the watcher on Ctrl-C and SIGTERM, after the requests that are under way."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: watcher.stop())
