"""Prepare the places that an attempt writes to: the run's folders, its log and the node's own disk."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import LaunchError
from runferry.system.temporary_folders import OwnedFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from runferry.runs.folder import RunFolder


@dataclass(frozen=True)
class Scratch:
    """A node-local folder; a temporary one is removed after the attempt."""

    folder: Path
    temporary: bool


def make_folders(*folders: Path) -> None:
    """Make the folders that the command writes to, and try to write to those that exist already.

    wandb and Comet fall back to /tmp, that is, onto the node, when they cannot write where they were told to.

    Raises
    ------
    LaunchError
        When one cannot be written.
    """
    for needed in folders:
        try:
            _make_or_try(needed)
        except OSError as error:
            message = (
                f"{needed}: found that it cannot be written ({error.strerror}), and what is logged would be lost; "
                "expected a folder that this user can write to from the compute node"
            )
            raise LaunchError(message) from error


def _make_or_try(folder: Path) -> None:
    # Where a folder can be made, a file can be made in it: a look less at the shared filesystem.
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
        with tempfile.TemporaryFile(dir=folder):
            pass


LATENCY_VARIABLE = "RUNFERRY_LATENCY_WAIT"
"""How many seconds a file may be on its way from the login node to this one: Snakemake's `--latency-wait`."""


def wait_for_file(file: Path) -> None:
    """Return when this node's filesystem shows a file that was written elsewhere, or when that takes too long."""
    wait_until(file.exists, file.parent)


def wait_until(is_there: Callable[[], bool], folder: Path) -> None:
    """Return when `is_there` finds what was written elsewhere into `folder`, or when that takes too long."""
    given = os.environ.get(LATENCY_VARIABLE, "")
    end = time.monotonic() + (float(given) if given.replace(".", "", 1).isdigit() else 0.0)
    while not is_there() and time.monotonic() < end:
        # Looking at the folder makes some filesystems look again.
        with suppress(OSError):
            os.listdir(folder)  # noqa: PTH208
        time.sleep(0.5)


@contextmanager
def open_log(folder: RunFolder) -> Generator[int]:
    """Open the run's log for appending and yield its file descriptor.

    Raises
    ------
    LaunchError
        When it cannot be written.
    """
    try:
        _bring_back_log(folder)
        log = os.open(folder.log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        _keep_log(folder)
    except OSError as error:
        message = f"{folder.log_file}: found that it cannot be written ({error.strerror}), expected a file to add to"
        raise LaunchError(message) from error
    try:
        yield log
    finally:
        os.close(log)


def _bring_back_log(folder: RunFolder) -> None:
    """Give the log of earlier attempts its name again, which Snakemake deletes before each job of a rule."""
    if not folder.log_file.exists():
        with suppress(FileNotFoundError):
            folder.log_file.hardlink_to(folder.kept_log_file)


def _keep_log(folder: RunFolder) -> None:
    """Give the log a second name, of which Snakemake does not know; on a filesystem without hard links a link to it."""
    kept, log = folder.kept_log_file, folder.log_file
    with suppress(FileNotFoundError):
        if kept.samefile(log):
            return
        # Two files of one content, where the run's folder was copied.
        kept.unlink()
    kept.parent.mkdir(exist_ok=True)
    try:
        kept.hardlink_to(log)
    except OSError:
        log.rename(kept)
        log.symlink_to(os.path.relpath(kept, log.parent))


@contextmanager
def shown_while_written(log: Path, begin: int | None) -> Generator[None]:
    """Copy new content of the log from `begin` on to stdout, in a thread; nothing when `begin` is None."""
    if begin is None:
        yield
        return
    ended = threading.Event()

    def copy() -> None:
        with log.open("rb") as file, suppress(BrokenPipeError):
            file.seek(begin)
            while True:
                last = ended.is_set()
                sys.stdout.buffer.write(file.read())
                sys.stdout.buffer.flush()
                if last:
                    return
                ended.wait(0.2)

    copying = threading.Thread(target=copy)
    copying.start()
    try:
        yield
    finally:
        ended.set()
        copying.join()


@contextmanager
def scratch_folder() -> Generator[Scratch]:
    """Yield the job's node-local folder where Slurm has one, else a temporary one."""
    job = os.environ.get("SLURM_JOB_ID")
    candidates = [os.environ.get("SLURM_TMPDIR")]
    if job:
        # The jobstep of Snakemake's slurm plugin strips SLURM_TMPDIR.
        candidates.append(f"/localscratch/{os.environ.get('USER', '')}.{job}.0")
    for candidate in candidates:
        if candidate and os.access(candidate, os.W_OK):
            yield Scratch(Path(candidate), temporary=False)
            return
    folder = OwnedFolder.make()
    try:
        yield Scratch(folder.path, temporary=True)
    finally:
        folder.remove()


def note(log: int, text: str) -> None:
    """Write a line of runferry's own into the log."""
    os.write(log, f"runferry: {text}\n".encode(errors="backslashreplace"))
