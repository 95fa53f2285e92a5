"""Find the oldest log that is not on the server yet, and warn of the site's purge of scratch."""

from __future__ import annotations

import getpass
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config.cluster import find_cluster
from runferry.errors import RunferryError, SegmentError
from runferry.runs.receipt import holds
from runferry.runs.receipt_stamp import archives_on_disk
from runferry.trackers.registry import given_base_url, logs_to_wandb
from runferry.trackers.wandb.log.segment import find_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runferry.config.cluster import Cluster
    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord

WARN_DAYS = 14
"""Before the purge."""
DAY = 86400.0


@dataclass(frozen=True)
class Oldest:
    """The least recently written transaction log of runs without a receipt."""

    file: Path
    days: float
    """How long ago it was written."""
    idle_days: float
    """How long ago it was last read or changed, which is what the sites count."""
    purge_days: int | None
    """After which the site purges scratch, where the file is on it; None elsewhere and where it is not known."""
    purge_note: str | None = None
    """What else is to be known of the purge."""

    @classmethod
    def of(cls, files: Iterable[tuple[float, Path]]) -> Oldest | None:
        """Choose the oldest log by the times of their last changes (seconds since 1970); None without logs."""
        found = min(files, default=None)
        if found is None:
            return None
        written, file = found
        site = _site_of_scratch(file)
        days, note = (site.scratch_purge_days, site.scratch_purge_note) if site else (None, None)
        return cls(file, (time.time() - written) / DAY, _idle_days(file), days, note)

    def warning(self) -> str | None:
        """Return a warning when the site's purge comes near; None where it does not."""
        if listed := _listed(self.file):
            return f"{listed} names {self.file}, which the site is about to purge; run: runferry sync"
        if self.purge_days is None or self.idle_days < self.purge_days - WARN_DAYS:
            return None
        left = self.purge_days - self.idle_days
        when = f"in {left:.0f} days" if left > 0 else "at any time now"
        note = f" ({self.purge_note})" if self.purge_note else ""
        return f"scratch is purged after {self.purge_days} days{note}: {self.file} {when}; run: runferry sync"


def purge_warning(folders: Callable[[], Iterable[RunFolder]]) -> str | None:
    """Return a warning when the purge comes near to logs of runs without a receipt; no segment is read for it.

    Where there is no `$SCRATCH`, nothing is looked at, and `folders` is not called.
    """
    if not os.environ.get("SCRATCH"):
        return None
    logs: list[tuple[float, Path]] = []
    for folder in folders():
        # What cannot be read is for `runferry status` to name.
        with suppress(RunferryError, OSError, ValueError, KeyError, TypeError):
            run = folder.read_run()
            if holds(folder, given_base_url(run)):
                continue
            for find in finders(folder, run):
                with suppress(SegmentError, OSError):
                    file = find()
                    logs.append((file.stat().st_mtime, file))
    oldest = Oldest.of(logs)
    return oldest.warning() if oldest else None


def finders(folder: RunFolder, run: RunRecord) -> list[partial[Path]]:
    """Return a function for each segment that finds its file of records, or raises `SegmentError` without one."""
    if logs_to_wandb(run):
        return [partial(find_log, path) for path in folder.segments()]
    return [partial(Path, file) for file in archives_on_disk(str(folder.path)).values()]


def _site_of_scratch(file: Path) -> Cluster | None:
    """Return the cluster of `$CC_CLUSTER`; None for a file that is not on scratch."""
    name, scratch = os.environ.get("CC_CLUSTER"), os.environ.get("SCRATCH")
    if not name or not scratch or not file.resolve().is_relative_to(os.path.realpath(scratch)):
        return None
    try:
        return find_cluster(name)
    except RunferryError:
        return None


def _idle_days(file: Path) -> float:
    """Return for how long a file was neither read nor changed, in days: not by its modification time, as the sites."""
    try:
        found = file.stat()
    except OSError:
        return 0.0
    return (time.time() - max(found.st_atime, found.st_ctime)) / DAY


def _listed(file: Path) -> Path | None:
    """Return the site's list of what is about to be purged, where it names a file; None elsewhere."""
    site = _site_of_scratch(file)
    if site is None or site.scratch_purge_list is None:
        return None
    listed = Path(site.scratch_purge_list.replace("<user>", getpass.getuser()))
    name = str(file.resolve())
    try:
        with listed.open(encoding="utf-8", errors="replace") as lines:
            return listed if any(name in line for line in lines) else None
    except OSError:
        return None
