"""Segments that a command had wandb write beside itself, where no sync would look for them.

A `dir=` in `wandb.init` wins over $WANDB_DIR. Lightning's WandbLogger gives one always, "." unless it is told another
(`save_dir`, in 2.6.6), so that its runs lie in `wandb/` of the working directory.
"""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING

from runferry.files import fsync_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runferry.run_folder import RunFolder


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
        target = folder.wandb_folder / segment.name
        try:
            if target.exists():
                note(f"{segment} is left there: the run's folder has one of this name")
                continue
            _move(segment, target)
        except OSError as error:
            note(f"{segment} is left there, and will not be synced: {error}")
        else:
            note(f"brought {segment} into the run's folder; without a dir= (save_dir) of its own wandb writes it there")


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
