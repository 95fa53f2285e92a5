"""Carries runs to one server: finds out what it lacks, sends that, and compares."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from runferry import wandb_sync
from runferry.disk import OnDisk, read_disk
from runferry.errors import RunferryError, ServerError
from runferry.file_stream import complete_summary, fill
from runferry.progress import Amount
from runferry.promised_files import NOR_ON_DISK, segments_with, total_bytes
from runferry.receipt import write_receipt
from runferry.resending import There, folder_to_send, pass_over
from runferry.verification import (
    count_differences,
    differences,
    end_differences,
    file_differences,
    missing_rows,
    row_differences,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from runferry.progress import Progress
    from runferry.run_folder import RunFolder
    from runferry.run_on_server import RunOnServer
    from runferry.segment import Segment
    from runferry.server import Server

BYTES_PER_SECOND = 1e6
"""What a slow network carries at least: for each megabyte a `wandb sync` gets a second more."""


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds, and how much at once."""

    patience: float = 20.0
    """For which a server that took everything may go on counting before it is not believed."""
    deadline: float = 600.0
    """For one `wandb sync` (and a second more for each megabyte), and for asking a server in trouble again."""
    parallel: int = wandb_sync.PARALLEL_RUNS
    """Runs that are sent at once."""
    accept_missing: bool = False
    """Whether a run gets a receipt though files or artifacts are gone from disk and server; it lists them then."""


@dataclass
class Outcome:
    """What became of one run."""

    folder: RunFolder
    problem: str | None = None
    """One line that says why there is no receipt; None where there is one."""
    sent: list[str] = field(default_factory=list[str])
    """The segments that this call sent."""


@dataclass
class Job:
    """One run on its way: what is on disk, where it goes and what is there."""

    outcome: Outcome
    disk: OnDisk
    project: str
    entity: str
    there: RunOnServer | None = None
    to_send: list[Segment] = field(default_factory=list["Segment"])
    had_rows: bool = False
    """Whether the server had rows before this call: then they are compared one by one."""
    gone: list[str] = field(default_factory=list[str])
    """Files and artifacts that are neither on the server nor on the disk."""
    differences: list[str] = field(default_factory=list[str])

    @property
    def place(self) -> tuple[str, str]:
        """Entity and project."""
        return self.entity, self.project

    @property
    def lines_there(self) -> int:
        """Rows that the server has."""
        return self.there.history_lines if self.there else 0

    @property
    def amount(self) -> Amount:
        """How much all of it is."""
        size = sum(segment.size_bytes for segment in self.disk.segments) + total_bytes(self.disk)
        return Amount(1, self.disk.history_lines, size)


def jobs_of(outcomes: Iterable[Outcome]) -> list[Job]:
    """Read what the runs have on disk; a run that has nothing to sync gets its problem."""
    jobs: list[Job] = []
    for outcome in outcomes:
        try:
            wandb = outcome.folder.read_run()["wandb"]
            disk = read_disk(outcome.folder)
            outcome.folder.receipt_file.unlink(missing_ok=True)
        except (RunferryError, OSError, ValueError) as error:
            outcome.problem = str(error)
            continue
        # What the script says to wandb.init wins over the config, as everywhere in W&B; the segment has it.
        first = disk.segments[0]
        jobs.append(Job(outcome, disk, first.project or wandb["project"], first.entity or wandb.get("entity") or ""))
    return jobs


@dataclass(frozen=True)
class Ferry:
    """Carries runs to one server; `results` is the folder whose lock is held."""

    server: Server
    limits: Limits
    results: Path
    log: IO[str] | None
    progress: Progress

    def carry(self, jobs: Sequence[Job]) -> str | None:
        """Sync and verify runs; returns what was wrong with the server after something was sent, if anything was.

        Raises
        ------
        ServerError
            When the server cannot be asked before anything is sent.
        """
        if any(not job.entity for job in jobs):
            default = self.server.default_entity()
            for job in jobs:
                job.entity = job.entity or default
        self._ask(jobs)
        for job in jobs:
            job.had_rows = job.lines_there > 0
        trouble: str | None = None
        try:
            self._fill([job for job in jobs if job.differences and 0 < job.lines_there < job.disk.history_lines])
            for job in jobs:
                job.to_send = _to_send(job)
            sent = [job for job in jobs if job.to_send]
            trouble = self._send(sent)
            self._wait_for_counts(sent, self.limits.patience if trouble is None else 0.0)
            self._complete_summaries(jobs)
            self._compare_rows(job for job in jobs if job.had_rows and not job.differences)
        except ServerError as error:
            # Something was sent perhaps: what cannot be asked is not verified.
            trouble = trouble or str(error)
            for job in jobs:
                if job.differences or job.had_rows or job.to_send:
                    job.there = None
                    job.outcome.problem = job.outcome.problem or trouble
        for job in jobs:
            self._conclude(job)
        return trouble

    def _ask(self, jobs: Iterable[Job]) -> None:
        places: dict[tuple[str, str], list[Job]] = defaultdict(list)
        for job in jobs:
            places[job.place].append(job)
        for (entity, project), members in places.items():
            names = [job.disk.run_id for job in members]
            answer = self.server.runs(entity, project, names, with_files=any(map(_promises, members)))
            for job in members:
                job.there = answer.get(job.disk.run_id)
                if job.there:
                    job.there = self._with_the_rest(job, job.there)
                self._compare(job)

    def _with_the_rest(self, job: Job, there: RunOnServer) -> RunOnServer:
        """Ask for what one answer for many runs does not hold: many files, artifacts that another run logged first."""
        if not there.all_files:
            there = replace(there, all_files=True, files=self.server.files(*job.place, job.disk.run_id))
        for artifact in job.disk.artifacts:
            key = (artifact.name, artifact.digest)
            if key not in there.artifacts and artifact.digest in self.server.artifact_digests(*job.place, artifact):
                there = replace(there, artifacts=there.artifacts | {key})
        return there

    def _compare(self, job: Job) -> None:
        job.differences = differences(job.disk, job.there)
        if self.limits.accept_missing:
            job.gone = [line for line in job.differences if NOR_ON_DISK in line]
            job.differences = [line for line in job.differences if line not in job.gone]

    def _fill(self, jobs: Sequence[Job]) -> None:
        """Send rows that are missing before the last one that is there, which `wandb sync` cannot."""
        for job in jobs:
            if _has_beginning(job, job.lines_there):
                continue
            first = missing_rows(job.disk, self.server, job.place)
            if first is not None:
                self.progress.say(f"{job.outcome.folder.path.name}: rows are missing from row {first} on; sending them")
                fill(job.disk, self.server, job.place, first)
                job.outcome.sent = [segment.name for segment in job.disk.segments]
                self._ask([job])

    def _send(self, jobs: Sequence[Job]) -> str | None:
        """Give what is missing to one `wandb sync`; returns what went wrong."""
        if not jobs:
            return None
        paths: dict[Path, Job] = {}
        for job in jobs:
            there = There(job.lines_there, *((job.there.event_lines, job.there.output_lines) if job.there else ()))
            job.outcome.sent = [segment.name for segment in job.to_send]
            try:
                for segment in job.disk.segments:
                    if segment in job.to_send:
                        paths[folder_to_send(segment, job.outcome.folder, there)] = job
                    else:
                        pass_over(segment, there)
            except OSError as error:
                job.outcome.problem = f"{error.filename}: {error.strerror}"
        total = sum((job.amount for job in jobs), Amount())
        watch = _Watch(self.progress, paths, total)
        segments = f"{len(jobs)} run{_s(jobs)} ({len(paths)} segment{_s(paths)}, {total.records:,} records)"
        self.progress.say(f"sending {segments} to {self.server.base_url}")
        deadline = self.limits.deadline + total.bytes / BYTES_PER_SECOND
        try:
            wandb_sync.send(
                list(paths),
                self.server,
                wandb_sync.Call(self.results, deadline, self.limits.parallel, self.log, watch.look),
            )
        except ServerError as error:
            for job in jobs:
                job.outcome.problem = str(error)
            return str(error)
        finally:
            self.progress.end()
        return None

    def _wait_for_counts(self, jobs: Sequence[Job], patience: float) -> None:
        end = time.monotonic() + patience
        pause = 0.2
        left = jobs
        while left:
            self._ask(left)
            left = [job for job in left if job.differences and not _only_summary(job)]
            if not left or time.monotonic() + pause > end:
                return
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _complete_summaries(self, jobs: Iterable[Job]) -> None:
        done = [job for job in jobs if job.there and _only_summary(job)]
        for job in done:
            if job.there:
                complete_summary(job.disk, self.server, job.place, job.there)
        if done:
            self._ask(done)

    def _compare_rows(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            job.differences = row_differences(job.disk, self.server, job.place)

    def _conclude(self, job: Job) -> None:
        outcome = job.outcome
        if job.there is None or job.differences:
            for segment in job.disk.segments:
                wandb_sync.unmark(segment.folder)
            because = f" ({outcome.problem})" if outcome.problem else ""
            what = "; ".join(job.differences[:5]) or "the server could not be asked"
            more = f"; and {len(job.differences) - 5} more" if len(job.differences) > 5 else ""
            outcome.problem = f"not verified: {what}{more}{because}"
            return
        outcome.problem = None
        try:
            write_receipt(outcome.folder, job.disk, job.there, self.server, job.place, missing=job.gone)
        except OSError as error:
            outcome.problem = f"verified, but the receipt could not be written ({error.strerror}); run the same again"


class _Watch:
    """Tells the progress how far a `wandb sync` says that it is."""

    def __init__(self, progress: Progress, paths: dict[Path, Job], total: Amount) -> None:
        self._progress = progress
        self._left = dict(paths)
        self._total = total
        self._done = Amount()

    def look(self) -> None:
        """Look for segments that have been sent since the last look."""
        for path in [path for path in self._left if wandb_sync.is_marked(path)]:
            job = self._left.pop(path)
            if job not in self._left.values():
                self._done += job.amount
        self._progress.sent(self._done, self._total)


def _promises(job: Job) -> bool:
    return any(segment.files or segment.artifacts for segment in job.disk.segments)


def _only_summary(job: Job) -> bool:
    """Tell whether all that differs is the summary of a run with several segments, of which it has the last one's."""
    if len(job.disk.segments) == 1 or not job.there or not job.differences:
        return False
    of_last = replace(job.disk, segments=job.disk.segments[-1:]).summary
    complete = replace(job.there, summary={**job.disk.summary, **{key: job.there.summary.get(key) for key in of_last}})
    return not differences(job.disk, complete)


def _to_send(job: Job) -> list[Segment]:
    """List the segments of which the server lacks something; none where sending would double or shift rows.

    The server appends what it gets. So what it has must be just the beginning of what the disk has.
    """
    if not job.differences or _only_summary(job):
        return []
    segments, rows = job.disk.segments, job.lines_there
    if not job.there or not rows:
        return list(segments)
    if rows > job.disk.history_lines or not _has_beginning(job, rows):
        return []
    needed = {segments[-1].name} if end_differences(job.disk, job.there) else set[str]()
    if count_differences(job.disk, job.there):
        needed |= _from_row(segments, rows)
    if file_differences(job.disk, job.there):
        # What comes with the rows of a run that stopped half way is not known, so all that promise something.
        names = {name for segment in segments for name in segment.files}
        needed |= segments_with(job.disk, names) | {segment.name for segment in segments if segment.artifacts}
        needed.add(segments[-1].name)
    return [segment for segment in segments if segment.name in needed]


def _from_row(segments: Sequence[Segment], rows: int) -> set[str]:
    """Name the segment that a row is in, counted from 0, and those after it."""
    for number, segment in enumerate(segments):
        if rows < segment.history_count:
            return {later.name for later in segments[number:]}
        rows -= segment.history_count
    return set()


def _has_beginning(job: Job, rows: int) -> bool:
    """Tell whether the server's rows can be the first ones of the run: the last of them has the step that it must have.

    Steps only go up. So a row that is missing before it would have to be made up for by one that is no row of the disk.
    """
    if not job.there:
        return False
    if rows == job.disk.history_lines:
        return job.there.last_step == job.disk.last_step
    step = next((step for number, step in enumerate(job.disk.steps()) if number == rows - 1), None)
    return job.there.last_step == step


def _s(items: Sequence[object] | dict[Path, Job]) -> str:
    return "" if len(items) == 1 else "s"
