"""Choose the segments to send: compare what each run has on disk with its state on the server."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runferry.errors import RunferryError
from runferry.sync.wandb.comparison import count_differences, differences, end_differences, file_differences
from runferry.sync.wandb.local import OnDisk, read_disks
from runferry.sync.wandb.uploaded_files import segments_with, total_bytes
from runferry.system.progress import Amount
from runferry.trackers.wandb.log.records import count_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runferry.sync.outcome import Outcome
    from runferry.trackers.wandb.log.segment import Segment
    from runferry.trackers.wandb.queries import RunOnServer


@dataclass
class Job:
    """One run to sync: its data on disk, its place, and its state on the server."""

    outcome: Outcome
    """Of the run that it is one of the W&B runs of."""
    disk: OnDisk
    project: str
    entity: str
    there: RunOnServer | None = None
    to_send: list[Segment] = field(default_factory=list["Segment"])
    console_apart: bool = False
    """Whether what it printed is sent line by line after the rest."""
    had_rows: bool = False
    """Whether the server had rows before this call: then they are compared one by one."""
    gone: list[str] = field(default_factory=list[str])
    """Files and artifacts that are neither on the server nor on the disk."""
    differences: list[str] = field(default_factory=list[str])
    problem: str | None = None
    """What went wrong with it, in one line."""

    @property
    def place(self) -> tuple[str, str]:
        """Return entity and project."""
        return self.entity, self.project

    @property
    def lines_there(self) -> int:
        """Return the number of rows that the server has."""
        return self.there.history_lines if self.there else 0

    @property
    def amount(self) -> Amount:
        """Return the size of the run: its rows and bytes."""
        size = sum(segment.size_bytes for segment in self.disk.segments) + total_bytes(self.disk)
        return Amount(1, self.disk.history_lines, size)


def jobs_of(outcomes: Iterable[Outcome]) -> list[Job]:
    """Return a job for each run, read from disk; a run that has nothing to sync gets its problem instead."""
    jobs: list[Job] = []
    for outcome in outcomes:
        try:
            wandb = outcome.folder.read_run()["wandb"]
            disks = read_disks(outcome.folder)
            if outcome.asked:
                outcome.folder.receipt_file.unlink(missing_ok=True)
        except (RunferryError, OSError, ValueError) as error:
            outcome.problem = str(error)
            continue
        # What the script says to wandb.init wins over the config, as everywhere in W&B; the segments have it.
        jobs += [
            Job(outcome, disk, disk.project or wandb["project"], disk.entity or wandb.get("entity") or "")
            for disk in disks
        ]
    return jobs


def without_shared_ids(jobs: Sequence[Job]) -> list[Job]:
    """Leave out W&B runs that have an id which another run of these uses too: one would overwrite the other."""
    users: dict[tuple[str, str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        users[(*job.place, job.disk.run_id)].append(job)
    refused: set[int] = set()
    for members in users.values():
        folders = sorted({job.outcome.folder.path for job in members})
        if len(folders) > 1:
            refused |= {id(job.outcome) for job in members}
            names = " and ".join(str(folder) for folder in folders[:2])
            for job in members:
                found = f"found the W&B run id {job.disk.run_id} in {names}, expected each id in one run only"
                job.outcome.problem = f"{found}: one would overwrite the other; give `id=` what tells the runs apart"
    return [job for job in jobs if id(job.outcome) not in refused]


def by_place(jobs: Iterable[Job]) -> dict[tuple[str, str], list[Job]]:
    """Group jobs by entity and project."""
    places: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        places[job.place].append(job)
    return places


def promises(job: Job) -> bool:
    """Return whether the run promised files or artifacts."""
    before = job.disk.before
    return any(each.files or each.artifacts for each in (*job.disk.segments, *([before] if before else [])))


def only_summary(job: Job) -> bool:
    """Return whether only the summary of a run with several segments differs: the server has the last segment's."""
    segments, before = job.disk.segments, job.disk.before
    if not segments or len(segments) + bool(before) == 1 or not job.there or not job.differences:
        return False
    of_last = replace(job.disk, segments=segments[-1:], before=None).summary
    complete = replace(job.there, summary={**job.disk.summary, **{key: job.there.summary.get(key) for key in of_last}})
    return not differences(job.disk, complete)


def segments_to_send(job: Job) -> list[Segment]:
    """Return the segments that the server lacks parts of; none where sending would double or shift rows.

    The server appends what it gets. So what it has must be just the beginning of what the disk has.
    """
    if not job.differences or only_summary(job):
        return []
    segments, rows, before = job.disk.segments, job.lines_there, job.disk.before
    if not segments or (before and (not job.there or rows < before.history_lines)):
        # What the server has lost of what was deleted here nobody can send.
        return []
    if not job.there or not rows:
        return list(segments)
    if rows > job.disk.history_lines or not has_beginning(job, rows):
        return []
    needed = {segments[-1].name} if end_differences(job.disk, job.there) else set[str]()
    if count_differences(job.disk, job.there):
        needed |= _from_row(segments, rows - job.disk.lines_before)
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


def has_beginning(job: Job, rows: int) -> bool:
    """Return whether the server's rows can be the first ones of the run: the last of them has the right step.

    Steps only go up. So a row that is missing before it would have to be made up for by one that is no row of the disk.
    """
    if not job.there:
        return False
    if rows == job.disk.history_lines:
        return job.there.last_step == job.disk.last_step
    steps = enumerate(job.disk.steps(), job.disk.lines_before + 1)
    before = job.disk.last_step_before if rows == job.disk.lines_before else None
    step = next((step for number, step in steps if number == rows), before)
    return job.there.last_step == step
