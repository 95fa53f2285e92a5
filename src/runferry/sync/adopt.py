"""Take in offline runs that were made without runferry, such as `offline-run-*` folders from a loop in bash."""

from __future__ import annotations

import errno
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.config.single_run import DEFAULT_PROJECT
from runferry.errors import ConfigError, SegmentError
from runferry.runs.attempt_record import TrainedRecord
from runferry.runs.folder import RunFolder
from runferry.runs.run_record import RunRecord, WandbSection
from runferry.system.files import fsync_folder
from runferry.trackers.wandb.log.segment import read_segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.trackers.wandb.log.segment import Segment

LONGEST_ID = 128
"""Characters of a run id, as W&B has it."""
WRITTEN_SECONDS = 120.0
"""A segment that was written to less than this ago may be a running job's."""


@dataclass(frozen=True)
class AdoptedSegment:
    """The result for one segment: `folder` is the run that it belongs to now; `left` says why it was not moved."""

    segment: Path
    folder: RunFolder | None = None
    left: str | None = None


def adopt_segments(
    paths: Sequence[Path], results: Path, experiment: str, *, dry_run: bool = False
) -> list[AdoptedSegment]:
    """Move every `offline-run-*` at or below some paths into `results/<experiment>/<run id>/wandb/`.

    A rename, which either is done or is not: nothing is copied, and nothing can be lost half way. Segments of one run
    id become one run. Project and entity are the segments' own.

    Raises
    ------
    ConfigError
        When a path is not there or holds no offline run.
    """
    done: list[AdoptedSegment] = []
    for path in paths:
        found = _find(path)
        if not found:
            known = next(path.rglob("offline-run-*"), None)
            what = "only offline runs that runferry wrote" if known else "no offline-run-*"
            sync = f"; run: runferry sync {known.parent.parent}" if known else ""
            expected = "an offline-run-* folder of another tool, or a folder that holds some"
            message = f"{path}: found {what} in it, expected {expected}{sync}"
            raise ConfigError(message)
        done += [_adopt(segment, results / experiment, dry_run=dry_run) for segment in found]
    return done


def _find(path: Path) -> list[Path]:
    if not path.is_dir():
        message = f"{path}: found no such folder, expected one with offline-run-* in it, or one itself"
        raise ConfigError(message)
    if path.name.startswith("offline-run-"):
        return [path]
    found = [each for each in path.rglob("offline-run-*") if each.is_dir() and not each.is_symlink()]
    # Not what is a run's of runferry already, nor copies that it has made to send.
    ours = [each for each in found if (each.parent.parent / "run.json").exists()]
    return sorted({*found} - {*ours}, key=lambda each: each.name)


def _adopt(path: Path, experiment: Path, *, dry_run: bool) -> AdoptedSegment:
    try:
        segment = read_segment(path)
    except SegmentError as error:
        return AdoptedSegment(path, left=str(error))
    if refused := _why_no_folder(segment.run_id):
        return AdoptedSegment(path, left=refused)
    folder = RunFolder(experiment / segment.run_id)
    destination = folder.wandb_folder / path.name
    if refused := _why_not_now(segment) or _why_not_this_run(folder, segment):
        return AdoptedSegment(path, left=refused)
    if destination.exists():
        return AdoptedSegment(path, left=f"{destination} is there already")
    if not dry_run:
        try:
            _move(path, segment, folder, destination)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            if not folder.segments():
                folder.run_file.unlink()
            return AdoptedSegment(
                path, left=f"{experiment.parent} is on another file system; give --results on that of it"
            )
    return AdoptedSegment(path, folder)


def _why_no_folder(run_id: str) -> str | None:
    """Return why a run id cannot be the name of a folder: it comes from the log, which anybody may have written."""
    if run_id.strip(".") and not set("/\\\0") & set(run_id) and run_id.isprintable() and len(run_id) <= LONGEST_ID:
        return None
    shown = json.dumps(run_id[:80])
    return f"found the run id {shown}, expected one that can be a folder's name (no / or \\, {LONGEST_ID} characters)"


def _why_not_now(segment: Segment) -> str | None:
    if segment.empty:
        return f"no record in {segment.size_bytes} bytes: there is nothing to sync"
    age = time.time() - segment.file.stat().st_mtime
    if segment.exit_code is None and age < WRITTEN_SECONDS:
        return f"written to {age:.0f} s ago: it may be running; try again when it has ended"
    return None


def _why_not_this_run(folder: RunFolder, segment: Segment) -> str | None:
    if not folder.run_file.exists():
        return None
    run = folder.read_run()
    if not run.adopted:
        return f"{folder.path} is a run of its own; give another --experiment"
    there = (run.of_wandb.entity or "", run.of_wandb.project)
    own = (segment.entity, segment.project or DEFAULT_PROJECT)
    if there != own:
        return f"{folder.path} is a run of {'/'.join(filter(None, there))}, this one of {'/'.join(filter(None, own))}"
    return None


def _move(path: Path, segment: Segment, folder: RunFolder, destination: Path) -> None:
    wandb = WandbSection(segment.project or DEFAULT_PROJECT, segment.entity or None)
    run = RunRecord(segment.run_id, segment.display_name or segment.run_id, wandb=wandb, adopted=True)
    if not folder.run_file.exists():
        run.write(folder.run_file)
    folder.wandb_folder.mkdir(exist_ok=True)
    path.rename(destination)
    fsync_folder(folder.wandb_folder)
    fsync_folder(path.parent)
    last = folder.segments()[-1]
    if read_segment(last).exit_code == 0:
        names = [each.name for each in folder.segments()]
        TrainedRecord(segment.run_id, adopted=True, segments=tuple(names)).write(folder.trained_file)
    elif folder.trained_file.exists() and TrainedRecord.read(folder.trained_file).adopted:
        folder.trained_file.unlink()
