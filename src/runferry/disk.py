"""What a run has on disk that can be synced: its readable segments together, and what must wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.errors import NotVerifiedError, SegmentError
from runferry.segment import history, read_segment
from runferry.under_way import is_under_way

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runferry.run_folder import RunFolder
    from runferry.segment import LoggedArtifact, Segment


@dataclass(frozen=True)
class OnDisk:
    """What the segments of one run say together."""

    segments: tuple[Segment, ...]
    """In the order of their start."""
    left_out: dict[Path, str] = field(default_factory=dict["Path", str])
    """Folders of segments that hold nothing that could be sent, and why: empty, or no transaction log at all."""

    @property
    def run_id(self) -> str:
        """The W&B run id, the same in all of them."""
        return self.segments[0].run_id

    @property
    def history_lines(self) -> int:
        """Rows that can be read."""
        return sum(segment.history_count for segment in self.segments)

    @property
    def last_step(self) -> int | None:
        """The step that the last row has on the server; None without rows (see `steps`)."""
        last: int | None = None
        for segment in self.segments:
            if segment.history_count:
                last = _last_step_after(last, segment)
        return last

    def steps(self) -> Iterator[int]:
        """Yield the step that each row has on the server.

        It is the row's own, but always above the one before: a later segment whose steps begin again is moved behind
        the earlier one, each row to the first step that is free (measured: `wandb sync` 0.31 of segments of 0.22.3,
        0.27.2 and 0.31.0 makes of 0..3 and 2, 3, 9, 10: 0..5, 9, 10).
        """
        last = -1
        for segment in self.segments:
            for row in history(segment.file):
                last = max(int(row["_step"]), last + 1)
                yield last

    @property
    def state(self) -> str:
        """`finished` where the last segment says exit code 0, else `failed`."""
        return "finished" if self.segments[-1].exit_code == 0 else "failed"

    @property
    def summary(self) -> dict[str, Any]:
        """The last value of each metric, later segments over earlier ones."""
        together: dict[str, Any] = {}
        for segment in self.segments:
            together |= segment.summary
        return together

    @property
    def config(self) -> dict[str, Any]:
        """The config, later segments over earlier ones, as W&B joins them when a run is resumed (measured)."""
        together: dict[str, Any] = {}
        for segment in self.segments:
            together |= segment.config
        return together

    @property
    def artifacts(self) -> set[LoggedArtifact]:
        """Every artifact that was logged."""
        return {artifact for segment in self.segments for artifact in segment.artifacts}

    @property
    def unreadable(self) -> dict[str, str]:
        """What could not be read, by the segment's name."""
        damaged = {segment.name: segment.damage for segment in self.segments if segment.damage}
        return {**{path.name: why for path, why in self.left_out.items()}, **damaged}


def read_disk(folder: RunFolder) -> OnDisk:
    """Read the segments that can be synced.

    Raises
    ------
    NotVerifiedError
        When there is none, the run is still training, or the segments are of several W&B runs.
    """
    _refuse_running(folder)
    segments: list[Segment] = []
    left_out: dict[Path, str] = {}
    unreadable: list[str] = []
    for path in folder.segments():
        try:
            segment = read_segment(path)
        except SegmentError as error:
            unreadable.append(str(error))
            left_out[path] = str(error)
            continue
        if segment.empty:
            left_out[path] = f"no record in {segment.size_bytes} bytes"
        else:
            segments.append(segment)
    if unreadable and not segments:
        raise NotVerifiedError(unreadable[0])
    if not segments:
        message = f"found no record on disk, expected one at least: {_why_no_segment(folder)}"
        raise NotVerifiedError(message)
    ids = {segment.run_id for segment in segments}
    if len(ids) > 1:
        message = f"found segments of {len(ids)} W&B runs ({', '.join(sorted(ids))}), expected one"
        raise NotVerifiedError(f"{message}: does the command set its own run id?")
    return OnDisk(tuple(segments), left_out)


def _why_no_segment(folder: RunFolder) -> str:
    attempts = folder.attempts()
    if not attempts:
        return "the run has not been started"
    last = attempts[-1]
    if last.get("message"):
        return f"the last attempt ended with: {last['message']}"
    return f"the command never called wandb.init; see {folder.log_file}"


def _refuse_running(folder: RunFolder) -> None:
    attempts = folder.attempts()
    if not attempts or not is_under_way(attempts[-1]):
        return
    last = attempts[-1]
    since = f"attempt {last['attempt']} on {last.get('host')} since {last.get('start')}"
    raise NotVerifiedError(f"found it still training ({since}), expected it to have ended")


def _last_step_after(last: int | None, segment: Segment) -> int | None:
    """Give the step of a segment's last row on the server, which has `last` as its last step before it."""
    first = segment.first_step
    if last is None or first is None or first > last:
        return segment.last_step
    for row in history(segment.file):
        last = max(int(row["_step"]), last + 1)
    return last
