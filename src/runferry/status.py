"""How the runs below some folders are: by state, what is not on the server yet, and what could not be read."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.cluster import find_cluster
from runferry.errors import RunferryError, SegmentError
from runferry.files import read_json
from runferry.receipt import holds
from runferry.receipt_stamp import archives_on_disk
from runferry.segment import find_log, read_segment
from runferry.tracker import logs_to_wandb, tracker_of
from runferry.under_way import is_under_way, last_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runferry.run_folder import RunFolder

WARN_DAYS = 14
"""Before the purge."""
DAY = 86400.0


@dataclass
class Status:
    """What was found.

    Attributes
    ----------
    states : Counter
        Runs by state: "waiting" (not started), "running", "verified" (has a receipt that holds), "unsynced" (trained,
        without one), else how the last attempt ended ("failed", "killed", ...); "adopted" without a receipt.
    unsynced_bytes : int
        Of transaction logs of runs without a receipt.
    oldest : Path or None
        The log that was written longest ago of those.
    oldest_days : float
        How long ago, in days.
    purge_days : int or None
        After which the site purges scratch, where this folder is on it; None elsewhere and where it is not known.
    damaged : dict
        What could not be read, by the segment's path.
    cleaned : int
        Segments that were deleted after they had been verified.
    """

    states: Counter[str] = field(default_factory=Counter[str])
    unsynced_bytes: int = 0
    oldest: Path | None = None
    oldest_days: float = 0.0
    purge_days: int | None = None
    damaged: dict[str, str] = field(default_factory=dict[str, str])
    cleaned: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "states": dict(self.states),
            "unsynced_bytes": self.unsynced_bytes,
            "oldest_unsynced": None if self.oldest is None else str(self.oldest),
            "oldest_unsynced_days": None if self.oldest is None else round(self.oldest_days, 1),
            "purge_days": self.purge_days,
            "damaged": self.damaged,
            "cleaned_segments": self.cleaned,
        }

    def lines(self) -> list[str]:
        """Return it for a person, one screen."""
        counts = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        found = [f"{self.states.total()} runs: {counts}"]
        if self.cleaned:
            found.append(f"{self.cleaned} segments deleted here; the server has them")
        if self.oldest:
            found.append(
                f"not on the server yet: {self.unsynced_bytes / 1e6:.1f} MB, the oldest written to "
                f"{self.oldest_days:.0f} days ago ({self.oldest})"
            )
            if warning := self.warning():
                found.append(warning)
        found += [f"{path}: {why}" for path, why in list(self.damaged.items())[:10]]
        if len(self.damaged) > 10:
            found.append(f"and {len(self.damaged) - 10} more that cannot be read whole; --json lists them")
        return found

    def warning(self) -> str | None:
        """Say when the site's purge comes near to what is not on the server; None where it does not."""
        if self.oldest is None or self.purge_days is None or self.oldest_days < self.purge_days - WARN_DAYS:
            return None
        left = self.purge_days - self.oldest_days
        when = f"in {left:.0f} days" if left > 0 else "at any time now"
        return f"scratch is purged after {self.purge_days} days: {self.oldest} {when}; type: runferry sync"


def status_of(folders: Sequence[RunFolder], *, read: bool = True) -> Status:
    """Look at runs; nothing is sent and no server is asked.

    Parameters
    ----------
    read
        Whether segments are read for what is damaged in them; without it, runs cost little more than their records.
    """
    found = Status()
    for folder in folders:
        try:
            _add(found, folder, read=read)
        except (RunferryError, OSError, ValueError, KeyError, TypeError) as error:
            found.states["unreadable"] += 1
            found.damaged[str(folder.path)] = str(error)
    if folders and found.oldest:
        found.purge_days = purge_days(found.oldest)
    return found


def purge_warning(folders: Callable[[], Sequence[RunFolder]]) -> str | None:
    """Say when the site's purge comes near to what of these runs is not on the server; None where it does not.

    Where there is no `$SCRATCH`, nothing is looked at, and `folders` is not called.
    """
    return status_of(folders(), read=False).warning() if os.environ.get("SCRATCH") else None


def purge_days(file: Path) -> int | None:
    """Return after how many days the site of `$CC_CLUSTER` purges a file; None where it is not on scratch."""
    name, scratch = os.environ.get("CC_CLUSTER"), os.environ.get("SCRATCH")
    if not name or not scratch or not file.resolve().is_relative_to(os.path.realpath(scratch)):
        return None
    try:
        return find_cluster(name).scratch_purge_days
    except RunferryError:
        return None


def _add(found: Status, folder: RunFolder, *, read: bool) -> None:
    run = folder.read_run()
    attempt = last_attempt(folder)
    if holds(folder, tracker_of(run).given_base_url(run)):
        receipt = read_json(folder.receipt_file)
        found.states["verified"] += 1
        found.cleaned += sum(1 for segment in receipt["segments"] if segment.get("cleaned"))
        found.damaged |= {str(folder.wandb_folder / name): why for name, why in receipt["unreadable"].items()}
        return
    if is_under_way(attempt):
        found.states["running"] += 1
        return
    found.states[_state(folder, run, attempt)] += 1
    if not logs_to_wandb(run):
        # How much is not there yet; what can be read of it, the sync says.
        for file in archives_on_disk(str(folder.path)).values():
            _add_unsynced(found, Path(file))
        return
    for path in folder.segments():
        _add_segment(found, path, read=read)


def _state(folder: RunFolder, run: dict[str, Any], attempt: dict[str, Any] | None) -> str:
    if folder.trained_file.exists():
        return "unsynced"
    if attempt is None:
        return "adopted" if run.get("adopted") else "waiting"
    # Its process is gone without a word.
    return "lost" if attempt["outcome"] in {"waiting", "taking over", "running"} else str(attempt["outcome"])


def _add_unsynced(found: Status, file: Path) -> None:
    written = file.stat()
    days = (time.time() - written.st_mtime) / DAY
    found.unsynced_bytes += written.st_size
    if found.oldest is None or days > found.oldest_days:
        found.oldest, found.oldest_days = file, days


def _add_segment(found: Status, path: Path, *, read: bool) -> None:
    try:
        _add_unsynced(found, find_log(path))
        if not read:
            return
        segment = read_segment(path)
    except SegmentError as error:
        found.damaged[str(path)] = str(error)
        return
    if segment.empty:
        found.damaged[str(path)] = f"no record in {segment.size_bytes} bytes"
    elif segment.damage:
        found.damaged[str(path)] = segment.damage
