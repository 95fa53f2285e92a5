"""Rename the W&B runs of a run: the ones they have belong to rows of another training, or rows arrived twice.

W&B lets nobody use the id of a deleted run again, and takes no single row away. So what is on the disk is sent whole to
a run of its own; the old one is left as it is.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.runs.folder import STATE_FILE
from runferry.sync.lock import results_lock
from runferry.sync.wandb.local import read_disks
from runferry.trackers.registry import logs_to_wandb
from runferry.trackers.wandb.deleted import read_all_cleaned
from runferry.trackers.wandb.renamed import write_renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder


def rename(folders: Sequence[RunFolder], say: Callable[[str], None]) -> dict[Path, dict[str, str]]:
    """Have runs that have ended sent under new ids from now on; their receipts, which speak of the old ones, go.

    Returns
    -------
    dict
        For each run's folder the new ids of its W&B runs, by the old ones.

    Raises
    ------
    ConfigError, NotVerifiedError
        When one of them cannot be renamed; none is then.
    OSError
        When a new id cannot be written.
    """
    renamed: dict[Path, dict[str, str]] = {}
    with ExitStack() as stack:
        for results in sorted({folder.path.resolve().parent.parent for folder in folders}):
            stack.enter_context(results_lock(results, say))
        ids = {folder.path: _ids(folder) for folder in folders}
        for folder in folders:
            renamed[folder.path] = write_renamed(folder, ids[folder.path])
            for file in (folder.receipt_file, folder.interim_receipt_file, folder.path / STATE_FILE):
                file.unlink(missing_ok=True)
    return renamed


def _ids(folder: RunFolder) -> list[str]:
    if not logs_to_wandb(folder.read_run()):
        raise ConfigError(f"{folder.path}: found a run that logs to Comet, expected one that logs to W&B")
    if read_all_cleaned(folder):
        message = f"{folder.path}: found that rows were deleted from this disk, expected all of them"
        raise ConfigError(f"{message}: only the present W&B run still has those, so do not rename it")
    return [disk.written_id for disk in read_disks(folder)]
