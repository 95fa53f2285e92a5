"""Exchange command, keys and end between a `runferry sync` and the Slurm job that it has submitted, by files."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from runferry.errors import RunferryError
from runferry.runs.folder import FOLDER
from runferry.system.files import read_json, write_json, write_new
from runferry.trackers.api_keys import keys_here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

READY, ENDED = "ready", "ended.json"
_COMMAND, _KEYS = "command.json", "keys"
_LOOK_SECONDS = 0.5
KEY_SECONDS = 300.0
"""For which a job waits for its keys: shared filesystems show a new file late."""
KEPT_SECONDS = 7 * 24 * 3600.0
"""After which what a killed submitter left is removed."""


class SyncJobError(RunferryError):
    """Raised when a job that is to sync could not be submitted."""


def make_exchange(results: Path, words: Sequence[str]) -> Path:
    """Make the folder of a job to be, which only the user can look into, with the command that it is to run."""
    _tidy(results)
    folder = results / FOLDER / "jobs" / secrets.token_hex(8)
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    write_json(folder / _COMMAND, list(words))
    return folder


def give_keys(folder: Path) -> None:
    """Write this process's keys for the job, which runs: a file that it removes as it reads it."""
    # Private from its first moment on.
    partial = folder / "keys.partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(keys_here(), file)
    partial.rename(folder / _KEYS)


def take_command(folder: Path) -> list[str]:
    """In the job: return the command that is to be run, once the submitter has given the keys.

    The keys become variables of this process, and their file is removed.

    Raises
    ------
    SyncJobError
        When no key came: the submitter has been killed.
    """
    words: list[str] = read_json(folder / _COMMAND)
    write_new(folder / READY, "")
    end = time.monotonic() + KEY_SECONDS
    while _KEYS not in os.listdir(folder):  # noqa: PTH208
        if time.monotonic() > end:
            raise SyncJobError(f"{folder}: found no answer of the submitter, expected its keys")
        time.sleep(_LOOK_SECONDS)
    keys: dict[str, str] = read_json(folder / _KEYS)
    (folder / _KEYS).unlink()
    os.environ.update(keys)
    return words


def note_end(folder: Path, code: int) -> None:
    """In the job: write the exit code for the submitter."""
    if folder.is_dir():
        write_json(folder / ENDED, code)


def _tidy(results: Path) -> None:
    jobs = results / FOLDER / "jobs"
    with suppress(OSError):
        for folder in jobs.iterdir():
            if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
