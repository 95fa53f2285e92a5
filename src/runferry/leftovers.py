"""Removes what a run needs no longer: a site counts the files, folders and links of a user on its shared filesystem."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runferry.run_folder import RunFolder

_EMPTY = ("tmp/code", "tmp")
"""Folders of a segment that wandb (0.22 to 0.31) makes and mostly leaves empty."""


def remove_empty(folder: RunFolder) -> None:
    """Remove wandb's links to the newest segment and its logs, and folders that nothing was put into.

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


def remove_debug_logs(folder: RunFolder) -> None:
    """Remove what wandb wrote for its developers and for a sync that is to go on, of a run that has its receipt."""
    for segment in folder.segments():
        logs = segment / "logs"
        for file in (*logs.glob("debug*.log"), *segment.glob("*.wandb.syncstate")):
            _unlink(file)
        _remove_folder(logs)


def _unlink(file: Path) -> None:
    with suppress(OSError):
        file.unlink()


def _remove_folder(folder: Path) -> None:
    # Only an empty one goes; no look is needed, or would be safe.
    with suppress(OSError):
        folder.rmdir()
