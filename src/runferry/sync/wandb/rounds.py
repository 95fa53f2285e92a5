"""Choose what is sent of each run in the next `wandb sync`.

A server appends what it gets, at the place where it believes that the run ends, and what it believes comes late. So a
run of which it has nothing is sent in rounds: the first segment of every run, then, once the server counts just that,
the second one of each, and so on. Of a run of which it has a part, the rows go to their own positions
(`runferry.sync.wandb.file_stream.fill`), and `wandb sync` brings the rest in copies without rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from runferry.sync.wandb.comparison import count_differences, end_differences, file_differences
from runferry.sync.wandb.job import only_summary
from runferry.sync.wandb.uploaded_files import segments_with
from runferry.trackers.wandb.log.records import count_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from runferry.sync.wandb.job import Job
    from runferry.sync.wandb.local import OnDisk
    from runferry.trackers.wandb.log.segment import Segment


def begin_rounds(jobs: Iterable[Job]) -> None:
    """Mark the runs of which the server has nothing and nothing was deleted here: they are sent in rounds.

    Of one whose rows it has lost, and not the summary, it says that it goes on behind the last step.
    """
    for job in jobs:
        lost = job.there is not None and job.there.summary.get("_step") is not None
        job.in_rounds = not job.lines_there and not lost and job.disk.before is None


def next_batch(jobs: Sequence[Job]) -> list[Job]:
    """Return the runs of which something is to be sent now; `to_send` of each says what.

    Versions of an artifact get their numbers as they arrive: of two W&B runs of one job that log the same artifact, the
    later one waits for the earlier one.
    """
    batch: list[Job] = []
    named: dict[int, set[str]] = {}
    for job in jobs:
        job.to_send = _next_segments(job)
        if not job.to_send:
            continue
        names = {artifact.name for artifact in job.disk.artifacts}
        earlier = named.setdefault(id(job.outcome), set())
        if names & earlier:
            job.to_send = []
        else:
            batch.append(job)
        earlier |= names
    return batch


def goes_on(job: Job) -> bool:
    """Return whether a run that is sent in rounds has segments that were not sent yet."""
    return job.in_rounds and not job.problem and job.rounds < len(job.disk.segments)


def is_counted(job: Job) -> bool:
    """Return whether the server counts just the rows that were sent in the rounds so far."""
    return job.there is not None and not count_differences(_sent(job), job.there)


def is_known(job: Job) -> bool:
    """Return whether the server also knows where the rest ends: the summary's step, and the system metrics.

    Its answer to who goes on with a run is made of all these.
    """
    if job.there is None:
        return False
    sent = _sent(job)
    step = job.there.summary.get("_step")
    known = sent.last_step is None or step is None or step == sent.last_step
    return known and job.there.event_lines == sum(_events(one.file, one.size_bytes) for one in sent.segments)


@lru_cache(maxsize=4096)
def _events(file: Path, size_bytes: int) -> int:  # noqa: ARG001 - what the file was when it was counted
    # Asked for several times while a round is waited for, and it reads the whole file.
    return count_events(file)


def _sent(job: Job) -> OnDisk:
    return replace(job.disk, segments=job.disk.segments[: job.rounds])


def _next_segments(job: Job) -> list[Segment]:
    if job.refused or job.problem or not job.differences or only_summary(job):
        return []
    segments = job.disk.segments
    if job.in_rounds:
        return list(segments[job.rounds : job.rounds + 1])
    if job.parts_sent or not segments or not job.there or job.excess or is_without_its_beginning(job):
        return []
    return _with_missing_parts(job)


def is_without_its_beginning(job: Job) -> bool:
    """Return whether the server has lost rows that were deleted here: nobody can send them."""
    before = job.disk.before
    return before is not None and job.lines_there < before.history_lines


def _with_missing_parts(job: Job) -> list[Segment]:
    """Return the segments that bring what the server lacks beside rows."""
    assert job.there is not None
    segments, before = job.disk.segments, job.disk.before
    needed = {segments[-1].name} if end_differences(job.disk, job.there) else set[str]()
    if job.first_missing is not None:
        needed |= _from_row(segments, job.first_missing - job.disk.lines_before)
    if file_differences(job.disk, job.there):
        # What comes with the rows of a run that stopped half way is not known, so all that promise something.
        names = {name for segment in segments for name in segment.files}
        needed |= segments_with(job.disk, names) | {segment.name for segment in segments if segment.artifacts}
        needed.add(segments[-1].name)
    needed |= _from_event(segments, job.there.event_lines - (before.event_lines if before else 0), needed)
    return [segment for segment in segments if segment.name in needed]


def _from_row(segments: Sequence[Segment], rows: int) -> set[str]:
    """Name the segment that a row is in, counted from 0, and those after it."""
    for number, segment in enumerate(segments):
        if rows < segment.history_count:
            return {later.name for later in segments[number:]}
        rows -= segment.history_count
    return set()


def _from_event(segments: Sequence[Segment], events: int, needed: set[str]) -> set[str]:
    """Name the first segment before the `needed` ones of which system metrics are missing, and those after it.

    Live sync sends rows only: of a run of several segments it leaves the system metrics of the first ones to this.
    """
    for number, segment in enumerate(segments):
        if segment.name in needed:
            break
        events -= count_events(segment.file)
        if events < 0:
            return {later.name for later in segments[number:]}
    return set()
