"""Determine the state of a run: pending, running, failed, trained, synced."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Literal

from runferry.runs.attempt_record import AttemptRecord
from runferry.runs.ending import UNDER_WAY
from runferry.runs.folder import RunFolder
from runferry.runs.slurm import queued_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


SILENT_SECONDS = 600.0
"""Without a byte from an attempt on another machine, after which Slurm is asked whether its job still exists."""


QUEUE_SECONDS = 300.0
"""At least between two such questions: sites ask not to call squeue every few seconds."""


def last_attempt(folder: RunFolder) -> AttemptRecord | None:
    """Read the record of the last attempt; None where none exists, or it cannot be read just now."""
    files = [file for file in folder.attempts_folder.glob("*.json") if file.stem.isdigit()]
    if not files:
        return None
    try:
        return AttemptRecord.read(max(files, key=lambda file: int(file.stem)))
    except (OSError, ValueError):
        return None


def is_under_way(attempt: AttemptRecord | None) -> bool:
    """Return whether an attempt has not ended, by its record and, if it is on this machine, by its process."""
    if attempt is None or attempt.outcome not in UNDER_WAY:
        return False
    return attempt.host != socket.gethostname() or attempt.launcher_is_alive


class SlurmQueue:
    """The user's jobs in Slurm's queue, asked for once in `QUEUE_SECONDS` at most."""

    def __init__(self) -> None:
        self._asked = -QUEUE_SECONDS
        self._jobs: frozenset[str] | None = None

    def has_lost(self, attempt: AttemptRecord, newest: Path | None) -> bool:
        """Return whether a silent attempt's job is gone; False wherever that is not known.

        `newest` is the file that the attempt wrote to last.
        """
        job = attempt.job
        if not job or attempt.host == socket.gethostname():
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
        return self._jobs is not None and job not in self._jobs


WAITING, RUNNING, FAILED, UNSYNCED, DONE = "to do", "running", "failed", "unsynced", "done"


STATES = (WAITING, RUNNING, FAILED, UNSYNCED, DONE)
"""Of a run: not started, or to go on; an attempt is under way; the last attempt ended without success; trained and
without a receipt; with a receipt."""


def states_of(folder: Path, runs: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Return the state of each run, and how its last attempt ended where it failed.

    One listing for each run that has a folder: a thousand are looked at whenever Snakemake starts.

    Parameters
    ----------
    folder
        `results/<experiment>`.
    runs
        Their ids.
    """
    begun = set(names_in(folder))
    return {run: state_and_reason(folder / run) if run in begun else (WAITING, None) for run in runs}


def state_and_reason(folder: Path) -> tuple[str, str | None]:
    """Return the state of a run, one of `STATES`, and how its last attempt ended where it failed."""
    names = set(names_in(folder))
    if "trained.json" in names or "finished.json" in names:
        return (DONE if "receipt.json" in names else UNSYNCED), None
    attempt = last_attempt(RunFolder(folder)) if "attempts" in names else None
    if attempt is None:
        return WAITING, None
    if is_under_way(attempt):
        return RUNNING, None
    return FAILED, attempt.reason or str(attempt.outcome)


def names_in(folder: Path) -> list[str]:
    """List the names in a folder; none where it is missing."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - names only: of thousands of folders
    except (FileNotFoundError, NotADirectoryError):
        return []


State = Literal["finished", "failed", "running", "pending"]
"""W&B's words."""


def state_of(folder: RunFolder) -> State:
    """Return the state of a run in W&B's word for it."""
    if folder.trained_file.exists():
        return "finished"
    attempt = last_attempt(folder)
    if attempt is None:
        return "pending"
    return "running" if is_under_way(attempt) else "failed"
