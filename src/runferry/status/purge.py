"""What is not on the server yet and was written longest ago, against the site's purge of scratch."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.cluster import find_cluster
from runferry.errors import RunferryError, SegmentError
from runferry.receipt import holds
from runferry.segment import find_log
from runferry.server import given_base_url

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runferry.run_folder import RunFolder

WARN_DAYS = 14
"""Before the purge."""
DAY = 86400.0


@dataclass(frozen=True)
class Oldest:
    """The transaction log that was written to longest ago, of runs without a receipt."""

    file: Path
    days: float
    """How long ago."""
    purge_days: int | None
    """After which the site purges scratch, where the file is on it; None elsewhere and where it is not known."""

    @classmethod
    def of(cls, files: Iterable[tuple[float, Path]]) -> Oldest | None:
        """Choose among logs, each with the time of its last change (seconds since 1970); None where there is none."""
        found = min(files, default=None)
        if found is None:
            return None
        changed, file = found
        return cls(file, (time.time() - changed) / DAY, purge_days(file))

    def warning(self) -> str | None:
        """Say when the site's purge comes near; None where it does not."""
        if self.purge_days is None or self.days < self.purge_days - WARN_DAYS:
            return None
        left = self.purge_days - self.days
        when = f"in {left:.0f} days" if left > 0 else "at any time now"
        return f"scratch is purged after {self.purge_days} days: {self.file} {when}; type: runferry sync"


def purge_warning(folders: Iterable[RunFolder]) -> str | None:
    """Say when the purge comes near to what of these runs has no receipt; no segment is read for it."""
    logs: list[tuple[float, Path]] = []
    for folder in folders:
        if holds(folder, given_base_url(folder.read_run()["wandb"].get("base_url"))):
            continue
        for path in folder.segments():
            try:
                file = find_log(path)
                logs.append((file.stat().st_mtime, file))
            except (SegmentError, OSError):
                continue
    oldest = Oldest.of(logs)
    return oldest.warning() if oldest else None


def purge_days(file: Path) -> int | None:
    """Return after how many days the site of `$CC_CLUSTER` purges a file; None where it is not on scratch."""
    name, scratch = os.environ.get("CC_CLUSTER"), os.environ.get("SCRATCH")
    if not name or not scratch or not file.resolve().is_relative_to(os.path.realpath(scratch)):
        return None
    try:
        return find_cluster(name).scratch_purge_days
    except RunferryError:
        return None
