"""Whether a run is still training, as far as its folder, this machine and Slurm tell."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from runferry.attempt import UNDER_WAY
from runferry.files import read_json
from runferry.processes import is_alive
from runferry.slurm import queued_jobs

if TYPE_CHECKING:
    from pathlib import Path

    from runferry.run_folder import RunFolder

SILENT_SECONDS = 600.0
"""Without a byte from an attempt on another machine, after which Slurm is asked whether its job still exists."""
QUEUE_SECONDS = 300.0
"""At least between two such questions: sites ask not to call squeue every few seconds."""


def last_attempt(folder: RunFolder) -> dict[str, Any] | None:
    """Read the record of the last attempt; None where there is none, or it cannot be read just now."""
    files = [file for file in folder.attempts_folder.glob("*.json") if file.stem.isdigit()]
    if not files:
        return None
    try:
        return read_json(max(files, key=lambda file: int(file.stem)))
    except (OSError, ValueError):
        return None


def is_under_way(attempt: dict[str, Any] | None) -> bool:
    """Tell whether an attempt goes on by its record and, where it is on this machine, by its process."""
    if attempt is None or attempt.get("outcome") not in UNDER_WAY:
        return False
    return attempt.get("host") != socket.gethostname() or is_alive(int(attempt["pid"]), attempt.get("pid_start"))


class Queue:
    """The user's jobs in Slurm's queue, asked for seldom."""

    def __init__(self) -> None:
        self._asked = -QUEUE_SECONDS
        self._jobs: frozenset[str] | None = None

    def has_lost(self, attempt: dict[str, Any], newest: Path | None) -> bool:
        """Tell whether a silent attempt's job is gone; False wherever that is not known.

        `newest` is the file that the attempt wrote to last.
        """
        job = attempt.get("job")
        if not job or attempt.get("host") == socket.gethostname():
            return False
        try:
            silent = time.time() - newest.stat().st_mtime if newest else 0.0
        except OSError:
            return False
        if silent < SILENT_SECONDS:
            return False
        if time.monotonic() - self._asked >= QUEUE_SECONDS:
            jobs = queued_jobs()
            self._asked = time.monotonic()
            self._jobs = None if jobs is None else frozenset(each.id for each in jobs if each.active)
        return self._jobs is not None and str(job) not in self._jobs
