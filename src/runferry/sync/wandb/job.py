"""Hold what is known of each W&B run on its way: its data on disk, its place, and its state on the server."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runferry.errors import RunferryError
from runferry.sync.wandb.comparison import differences
from runferry.sync.wandb.local import OnDisk, read_disks
from runferry.sync.wandb.uploaded_files import total_bytes
from runferry.system.progress import Amount

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
    in_rounds: bool = False
    """Whether the server had nothing of it: then its segments are sent whole, one after the other."""
    rounds: int = 0
    """Segments that were sent that way."""
    parts_sent: bool = False
    """Whether what was missing beside rows was sent, where the server had a part of it before."""
    first_missing: int | None = None
    """Number of the first row that this call has sent to its own position."""
    rows_read: bool = False
    """Whether every row that can be read was found on the server since the last one was sent."""
    rows_sampled: bool = False
    """Whether some of them were, which were chosen for it."""
    refused: bool = False
    """Whether nothing may be sent, for what `problem` says."""
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
    def excess(self) -> bool:
        """Return whether the server has more rows than the disk, of which none can be taken away."""
        return self.lines_there > self.disk.history_lines

    @property
    def amount(self) -> Amount:
        """Return the size of what is to be sent: its rows and bytes."""
        size = sum(segment.size_bytes for segment in self.to_send)
        rows = sum(segment.history_count for segment in self.to_send)
        return Amount(1, rows, size + (0 if self.rounds else total_bytes(self.disk)))


def jobs_of(outcomes: Iterable[Outcome]) -> list[Job]:
    """Return a job for each run, read from disk; a run that has nothing to sync gets its problem instead."""
    jobs: list[Job] = []
    for outcome in outcomes:
        try:
            wandb = outcome.folder.read_run().of_wandb
            disks = read_disks(outcome.folder)
            if outcome.asked:
                outcome.folder.receipt_file.unlink(missing_ok=True)
        except (RunferryError, OSError, ValueError) as error:
            outcome.problem = str(error)
            continue
        # What the script says to wandb.init wins over the config, as everywhere in W&B; the segments have it.
        jobs += [Job(outcome, disk, disk.project or wandb.project, disk.entity or wandb.entity or "") for disk in disks]
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
    """Return whether only the summary differs.

    The server then has the last segment's, or that of a log without the rows that it had already.
    """
    if not job.disk.segments or not job.there or not job.differences:
        return False
    return not differences(job.disk, replace(job.there, summary=job.disk.summary))


def lacks_values(job: Job) -> bool:
    """Return whether the last segment, which was sent in this call, has not every value of the run's summary."""
    sent = job.rounds or job.parts_sent or job.first_missing is not None
    return bool(sent and job.disk.segments and job.disk.summary.keys() - job.disk.segments[-1].summary.keys())
