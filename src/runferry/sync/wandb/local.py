"""Read the segments of a run that can be synced, and join their contents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.errors import NotVerifiedError, SegmentError
from runferry.runs.receipt import sha256
from runferry.sync.outcome import refuse_running
from runferry.sync.wandb.lost_rows import lost_rows
from runferry.trackers.wandb.deleted import read_all_cleaned
from runferry.trackers.wandb.log.rows import step_behind
from runferry.trackers.wandb.log.segment import history, read_segment
from runferry.trackers.wandb.renamed import read_renamed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runferry.runs.folder import RunFolder
    from runferry.trackers.wandb.deleted import Cleaned
    from runferry.trackers.wandb.log.records import LoggedArtifact
    from runferry.trackers.wandb.log.segment import Segment


@dataclass(frozen=True)
class OnDisk:
    """The joint contents of the segments of one W&B run."""

    segments: tuple[Segment, ...]
    """In the order of their start."""
    left_out: dict[Path, str] = field(default_factory=dict["Path", str])
    """Folders of segments that hold nothing that could be sent, and why: empty, or no transaction log at all."""
    before: Cleaned | None = None
    """What was deleted here after the server had it; the segments come behind that."""
    lost: tuple[str, ...] = ()
    """A line for each segment that lacks rows that its job logged; of the run's first W&B run those too of which there
    is nothing on disk."""
    unread: dict[Path, str] = field(default_factory=dict["Path", str])
    """Those of `left_out` in which there may be rows, and why they cannot be read."""
    gone: dict[str, int] = field(default_factory=dict[str, int])
    """Segments that an attempt has written and that are not on the disk any more, with the attempt's number."""
    new_id: str | None = None
    """The id that the user has had given to it (`runferry.sync.rename`)."""

    @property
    def run_id(self) -> str:
        """Return the id of the W&B run on the server."""
        return self.new_id or self.written_id

    @property
    def written_id(self) -> str:
        """Return the id that all its segments were written with."""
        return self._first.run_id

    @property
    def entity(self) -> str:
        """Return the entity that the script named; empty where it named none."""
        return self._first.entity

    @property
    def project(self) -> str:
        """Return the project that the script named; empty where it named none."""
        return self._first.project

    @property
    def _first(self) -> Segment | Cleaned:
        return self.before or self.segments[0]

    @property
    def lines_before(self) -> int:
        """Return the number of rows that cannot be read any more, because their segments were deleted."""
        return self.before.history_lines if self.before else 0

    @property
    def last_step_before(self) -> int:
        """Return the step of the last deleted row on the server; -1 without any."""
        return -1 if self.before is None or self.before.last_step is None else self.before.last_step

    @property
    def history_lines(self) -> int:
        """Return the number of rows that the server is to have: the deleted ones and those that can be read."""
        return self.lines_before + sum(segment.history_count for segment in self.segments)

    @property
    def last_step(self) -> int | None:
        """Return the step that the last row has on the server; None without rows (see `steps`)."""
        last = self.before.last_step if self.before else None
        for segment in self.segments:
            if segment.history_count:
                last = _last_step_after(last, segment)
        return last

    def steps(self) -> Iterator[int]:
        """Yield the step on the server of each row that can be read (see `step_behind`)."""
        last = self.last_step_before
        for segment in self.segments:
            for row in history(segment.file):
                last = step_behind(last, row)
                yield last

    @property
    def state(self) -> str:
        """Return `finished` where the last segment has exit code 0, else `failed`."""
        if self.before and not self.segments:
            return self.before.state
        return "finished" if self.segments[-1].exit_code == 0 else "failed"

    @property
    def summary(self) -> dict[str, Any]:
        """Return the last value of each metric, later segments over earlier ones."""
        together = dict(self.before.summary) if self.before else {}
        for segment in self.segments:
            together |= segment.summary
        return together

    @property
    def config(self) -> dict[str, Any]:
        """Return the config, later segments over earlier ones, as W&B joins them when a run is resumed (measured)."""
        together = dict(self.before.config) if self.before else {}
        for segment in self.segments:
            together |= segment.config
        return together

    @property
    def artifacts(self) -> set[LoggedArtifact]:
        """Return every artifact that was logged."""
        before = self.before.artifacts if self.before else ()
        return {*before, *(artifact for segment in self.segments for artifact in segment.artifacts)}

    @property
    def unreadable(self) -> dict[str, str]:
        """Return what could not be read, by the segment's name."""
        damaged = {segment.name: segment.damage for segment in self.segments if segment.damage}
        before = self.before.segments if self.before else ()
        damaged |= {segment.name: segment.unreadable for segment in before if segment.unreadable}
        return {**{path.name: why for path, why in self.left_out.items()}, **damaged}


def read_disks(folder: RunFolder) -> list[OnDisk]:
    """Read the segments of a run that can be synced, those of each of its W&B runs together.

    Returns
    -------
    list of OnDisk
        One for each W&B run, in the order of their start. What cannot be sent is left out of the W&B run that its
        folder names, else of the first.

    Raises
    ------
    NotVerifiedError
        When there is none and none was deleted, or the run is still training.
    """
    refuse_running(folder)
    before, renamed = read_all_cleaned(folder), read_renamed(folder)
    deleted = {name for cleaned in before.values() for name in cleaned.names}
    segments: dict[str, list[Segment]] = {run: [] for run in before}
    left_out: dict[Path, str] = {}
    unread: set[Path] = set()
    for path in folder.segments():
        if path.name in deleted:
            # Whoever deleted it was killed at that.
            continue
        try:
            segment = read_segment(path)
        except SegmentError as error:
            left_out[path] = str(error)
            unread |= {path} if any(map(_may_have_rows, path.glob("run-*.wandb"))) else set()
            continue
        if segment.empty:
            left_out[path] = f"no record in {segment.size_bytes} bytes"
        elif not segment.has_run and segment.history_count:
            message = f"{path.name}: found {segment.history_count} rows and no record of their run, expected one"
            raise NotVerifiedError(f"{message}: wandb cannot send them; move the folder away to sync the rest")
        elif not segment.has_run:
            # Of a `wandb.init` that failed: sent, it would keep every other segment of the batch from the server.
            left_out[path] = "no record of a run: wandb.init did not come to its end"
        else:
            segments.setdefault(segment.run_id, []).append(segment)
    if not segments:
        if unread:
            raise NotVerifiedError(left_out[min(unread)])
        message = f"found no record on disk, expected one at least: {_why_no_segment(folder)}"
        raise NotVerifiedError(message)
    left_out |= {copy: why for found in segments.values() for copy, why in _take_copies(found).items()}
    gone = _gone(folder, deleted)
    lost = lost_rows(folder, segments, {*deleted, *gone, *(path.name for path in unread)})

    def whose(name: str) -> str:
        return next((run for run in segments if name.endswith(f"-{run}")), next(iter(segments)))

    return [
        OnDisk(
            tuple(found),
            left_out=(own := {path: why for path, why in left_out.items() if whose(path.name) == run}),
            before=before.get(run),
            unread={path: why for path, why in own.items() if path in unread},
            gone={name: attempt for name, attempt in gone.items() if whose(name) == run},
            new_id=renamed.get(run),
            lost=tuple(lost.get(run, ())),
        )
        for run, found in segments.items()
    ]


def _may_have_rows(log: Path) -> bool:
    return not log.is_file() or log.stat().st_size > 0


def _take_copies(segments: list[Segment]) -> dict[Path, str]:
    """Take out of a W&B run's segments those that are copies of an earlier one; return their folders, and why."""
    copies: dict[Path, str] = {}
    by_size: dict[int, list[Segment]] = {}
    for segment in segments:
        by_size.setdefault(segment.size_bytes, []).append(segment)
    for group in by_size.values():
        # Of those of one size only, since it reads them whole.
        first: dict[str | None, Segment] = {}
        for segment in group if len(group) > 1 else ():
            original = first.setdefault(sha256(segment.file), segment)
            if original is not segment:
                copies[segment.folder] = f"a copy of {original.name}"
    segments[:] = [segment for segment in segments if segment.folder not in copies]
    return copies


def _gone(folder: RunFolder, deleted: set[str]) -> dict[str, int]:
    there = {path.name for path in folder.segments()} | deleted
    written = {name: record.attempt for record in folder.attempts() for name in record.segments}
    return {name: attempt for name, attempt in written.items() if name not in there}


def _why_no_segment(folder: RunFolder) -> str:
    attempts = folder.attempts()
    if not attempts:
        return "the run has not been started"
    last = attempts[-1]
    if last.message:
        return f"the last attempt ended with: {last.message}"
    return f"the command never called wandb.init, or gave it a dir= of its own; see {folder.log_file}"


def _last_step_after(last: int | None, segment: Segment) -> int | None:
    """Give the step of a segment's last row on the server, which has `last` as its last step before it."""
    first = segment.first_step
    if last is None or first is None or first > last:
        return segment.last_step
    for row in history(segment.file):
        last = step_behind(last, row)
    return last
