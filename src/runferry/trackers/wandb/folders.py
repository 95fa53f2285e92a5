"""Remove, share and move a run's files: a site limits how many files, folders and links a user has."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.system.files import fsync_folder, link_atomically
from runferry.trackers.wandb.run_ids import elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runferry.runs.folder import RunFolder


_EMPTY = ("tmp/code", "tmp")
"""Folders of a segment that wandb (0.22 to 0.31) makes and mostly leaves empty."""

_OFTEN_EQUAL = (
    "files/requirements.txt",
    "files/conda-environment.yaml",
    "files/diff.patch",
    "files/code/**/*",
    "*.wandb.synced",
)
"""Files that wandb writes for each run, and that are the same for all that were started from one place; its marker of
what `wandb sync` has sent is empty."""


_LARGEST_SHARED = 2**20
"""Bytes of the largest file that is looked at: the others are few."""


SHARED_FOLDER = ".shared"
"""In an experiment's folder: such files by the SHA-256 of what is in them, each a name of the runs' own file."""


def remove_empty(folder: RunFolder) -> None:
    """Remove wandb's links to the newest segment and its logs, and empty folders.

    The next attempt makes them anew. What cannot be removed stays.
    """
    with suppress(OSError), os.scandir(folder.wandb_folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                _unlink(Path(entry.path))
    for segment in folder.segments():
        for name in _EMPTY:
            _remove_folder(segment / name)
    for made in (folder.checkpoints_folder, folder.data_folder):
        _remove_folder(made)


def remove_never_begun(segments: Iterable[Path]) -> None:
    """Remove what a `wandb.init` has left that began no W&B run: a folder with a debug log in it, at most.

    A second `wandb.init` in a process makes one (0.22 to 0.31) and returns the W&B run that is open already.
    """
    for segment in segments:
        files = [path for path in segment.rglob("*") if not path.is_dir()]
        if segment.is_dir() and all(file.match("logs/debug*.log") for file in files):
            shutil.rmtree(segment, ignore_errors=True)


def remove_debug_logs(folder: RunFolder) -> None:
    """Remove wandb's debug logs and its notes for continuing a sync, of a run that has its receipt."""
    for segment in folder.segments():
        logs = segment / "logs"
        for file in (*logs.glob("debug*.log"), *segment.glob("*.wandb.syncstate")):
            _unlink(file)
        _remove_folder(logs)


def share_equal_files(folder: RunFolder) -> None:
    """Replace wandb's equal files in the runs of an experiment by one file with a name in each run's segment.

    To be called for a run that has its receipt: nobody writes to its segments any more. Where the filesystem has no
    hard links, all stays as it is.
    """
    for file in _often_equal(folder):
        with suppress(OSError):
            content = file.read_bytes()
            shared = folder.path.parent / SHARED_FOLDER / hashlib.sha256(content).hexdigest()
            try:
                equal = shared.read_bytes() == content
            except FileNotFoundError:
                shared.parent.mkdir(exist_ok=True)
                equal = False
            if not equal:
                link_atomically(shared, file)
            elif not shared.samefile(file):
                link_atomically(file, shared)


def remove_shared_by_none(experiment: Path) -> None:
    """Remove from an experiment's folder the shared files whose runs' segments are all deleted."""
    shared = experiment / SHARED_FOLDER
    with suppress(OSError), os.scandir(shared) as entries:
        for entry in entries:
            if entry.stat(follow_symlinks=False).st_nlink == 1:
                _unlink(Path(entry.path))
    _remove_folder(shared)


def _often_equal(folder: RunFolder) -> Iterator[Path]:
    for segment in folder.segments():
        for pattern in _OFTEN_EQUAL:
            for file in segment.glob(pattern):
                if file.is_file() and not file.is_symlink() and file.stat().st_size <= _LARGEST_SHARED:
                    yield file


def _unlink(file: Path) -> None:
    with suppress(OSError):
        file.unlink()


def _remove_folder(folder: Path) -> None:
    # Only an empty one goes; no look is needed, or would be safe.
    with suppress(OSError):
        folder.rmdir()


def bring_in(folder: RunFolder, workdir: Path, run: str, note: Callable[[str], object]) -> None:
    """Move the segments of a run that lie in `wandb/` of the working directory into the run's folder.

    Call it while no process writes to them. What cannot be moved stays where it is.

    Parameters
    ----------
    folder
        Of the run.
    workdir
        Where the command runs.
    run
        The W&B run id.
    note
        Takes a line for the run's log.
    """
    beside = workdir / "wandb"
    if beside == folder.wandb_folder.absolute():
        return
    # A name is <offline-run or run>-<time>-<id>; an id of ours has no character that glob takes for another.
    for segment in sorted([*beside.glob(f"offline-run-*-{run}"), *beside.glob(f"run-*-{run}")]):
        move(segment, folder.wandb_folder / segment.name, note)


def move(segment: Path, target: Path, note: Callable[[str], object]) -> None:
    """Move one segment to its place in the run's folder; say it, and why where it cannot be done."""
    try:
        if target.exists():
            note(f"{segment} is left there: the run's folder has one of this name")
            return
        _move(segment, target)
    except OSError as error:
        note(f"{segment} is left there, and will not be synced: {error}")
    else:
        note(f"brought {segment} into the run's folder")


def _move(segment: Path, target: Path) -> None:
    try:
        segment.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # On another file system: a copy, which has its name only when it is whole.
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(segment, partial, symlinks=True)
        partial.rename(target)
        shutil.rmtree(segment)
    fsync_folder(target.parent)


def keep_linked_files(segment: Path, note: Callable[[str], object]) -> None:
    """Replace the links that `wandb.save` has left in a segment's `files` by copies.

    The file that a link is to may be written again, by the next run of a job or by another job in the same working
    directory. A hard link would not do: what writes a file again mostly writes into the old one.
    """
    for folder, _, names in os.walk(segment / "files"):
        for name in names:
            link = Path(folder, name)
            if not link.is_symlink() or not link.is_file():
                continue
            partial = link.with_name(f".{name}.partial")
            try:
                shutil.copy2(link, partial)
                partial.rename(link)
            except OSError as error:
                note(f"{link} stays a link to a file that may change before the sync: {error}")
                with suppress(OSError):
                    partial.unlink(missing_ok=True)


def bring_in_listed(folder: RunFolder, segments: list[Path], note: Callable[[str], object]) -> None:
    """Move segments that lie elsewhere into the job's folder. Call it while no process writes to them."""
    home = folder.wandb_folder
    for segment in dict.fromkeys(segments):
        if segment.parent.resolve() != home.resolve() and segment.is_dir():
            move(segment, home / segment.name, note)


def bring_in_earlier(folder: RunFolder, note: Callable[[str], object]) -> None:
    """Move the segments of an attempt whose launcher was killed into the job's folder, where they lie elsewhere."""
    bring_in_listed(folder, [Path(each) for each in elsewhere(folder.wandb_folder)], note)
