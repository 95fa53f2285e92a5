"""Brings what runs have on disk to the server, asks it what it holds, and writes receipts where the two agree."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from runferry import wandb_sync
from runferry.disk import OnDisk, folder_to_send, read_disk, step_of_row
from runferry.errors import RunferryError, ServerError
from runferry.receipt import differences, holds, write_receipt
from runferry.results_lock import results_lock
from runferry.server import Server, find_server, given_base_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from runferry.run_folder import RunFolder
    from runferry.segment import Segment
    from runferry.server import RunOnServer


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds."""

    patience: float = 20.0
    """For which a server that took everything may go on counting before it is not believed."""
    deadline: float = 600.0
    """For one `wandb sync`; wandb itself would try for days."""


@dataclass
class Outcome:
    """What became of one run."""

    folder: RunFolder
    problem: str | None = None
    """One line that says why there is no receipt; None where there is one."""
    sent: list[str] = field(default_factory=list[str])
    """The segments that this call sent."""


@dataclass(frozen=True)
class _Part:
    """A segment to be sent, and how many of its first rows are there already."""

    segment: Segment
    rows_there: int = 0


@dataclass
class _Job:
    """One run on its way: what is on disk, where it goes and what is there."""

    outcome: Outcome
    disk: OnDisk
    project: str
    entity: str
    there: RunOnServer | None = None
    missing: list[_Part] = field(default_factory=list[_Part])
    """What has to be sent."""

    @property
    def lines_there(self) -> int:
        return self.there.history_lines if self.there else 0

    @property
    def differences(self) -> list[str]:
        return differences(self.disk, self.there)


def sync(
    folders: Sequence[RunFolder],
    limits: Limits | None = None,
    *,
    log: IO[str] | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> list[Outcome]:
    """Sync runs and verify them; what the server has already is not sent again.

    Parameters
    ----------
    folders
        The runs.
    limits
        How long things may take.
    log
        Where wandb's own output goes.
    say
        Takes a line of progress for a person.

    Returns
    -------
    list of Outcome
        One for each folder, in their order. A run without a `problem` has a receipt.

    Raises
    ------
    ServerError
        When a server cannot be asked before anything is sent; no run has changed then.
    """
    outcomes = [Outcome(folder) for folder in folders]
    by_results: dict[Path, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_results[outcome.folder.path.resolve().parent.parent].append(outcome)
    for results, members in by_results.items():
        with results_lock(results, say):
            for base_url, jobs in _jobs(members).items():
                _Ferry(find_server(base_url), limits or Limits(), log, say).carry(jobs)
    return outcomes


def _jobs(outcomes: Iterable[Outcome]) -> dict[str | None, list[_Job]]:
    """List what has to be done, by server; a run whose receipt speaks of what is on disk needs nothing."""
    jobs: dict[str | None, list[_Job]] = defaultdict(list)
    for outcome in outcomes:
        try:
            wandb = outcome.folder.read_run()["wandb"]
            disk = read_disk(outcome.folder)
        except RunferryError as error:
            outcome.problem = str(error)
            continue
        base_url = given_base_url(wandb.get("base_url"))
        if holds(outcome.folder, disk.segments, base_url):
            continue
        outcome.folder.receipt_file.unlink(missing_ok=True)
        # What the script says to wandb.init wins over the config, as everywhere in W&B; the segment has it.
        first = disk.segments[0]
        job = _Job(outcome, disk, first.project or wandb["project"], first.entity or wandb.get("entity") or "")
        jobs[base_url].append(job)
    return jobs


@dataclass(frozen=True)
class _Ferry:
    """Carries runs to one server."""

    server: Server
    limits: Limits
    log: IO[str] | None
    say: Callable[[str], None]

    def carry(self, jobs: Sequence[_Job]) -> None:
        if any(not job.entity for job in jobs):
            default = self.server.default_entity()
            for job in jobs:
                job.entity = job.entity or default
        self._ask(jobs)
        for job in jobs:
            if not job.differences:
                continue
            job.missing = _missing(job)
            if not job.missing and 0 < job.lines_there < job.disk.history_lines:
                job.outcome.problem = "rows are missing before the last one that is there, and wandb sync only appends"
        sent = [job for job in jobs if job.missing]
        self._send(sent)
        self._wait_for_counts(sent)
        for job in jobs:
            self._conclude(job)

    def _ask(self, jobs: Iterable[_Job]) -> None:
        places: dict[tuple[str, str], list[_Job]] = defaultdict(list)
        for job in jobs:
            places[job.entity, job.project].append(job)
        for (entity, project), members in places.items():
            answer = self.server.runs(entity, project, [job.disk.run_id for job in members])
            for job in members:
                job.there = answer.get(job.disk.run_id)

    def _send(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        paths: list[Path] = []
        for job in jobs:
            job.outcome.sent = [part.segment.name for part in job.missing]
            paths += [folder_to_send(part.segment, job.outcome.folder, part.rows_there) for part in job.missing]
        self.say(f"sending {_count(len(jobs), 'run')} ({_count(len(paths), 'segment')}) to {self.server.base_url}")
        try:
            wandb_sync.send(paths, self.server, deadline=self.limits.deadline, log=self.log)
        except ServerError as error:
            for job in jobs:
                job.outcome.problem = str(error)

    def _wait_for_counts(self, jobs: Sequence[_Job]) -> None:
        end = time.monotonic() + self.limits.patience
        pause = 0.2
        left = jobs
        while left:
            self._ask(left)
            left = [job for job in left if job.differences]
            if not left or time.monotonic() + pause > end:
                return
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _conclude(self, job: _Job) -> None:
        found = job.differences
        if job.there is None or found:
            for segment in job.disk.segments:
                wandb_sync.unmark(segment.folder)
            because = f" ({job.outcome.problem})" if job.outcome.problem else ""
            job.outcome.problem = f"not verified: {'; '.join(found)}{because}"
            return
        job.outcome.problem = None
        write_receipt(job.outcome.folder, job.disk, job.there, self.server, (job.entity, job.project))


def _missing(job: _Job) -> list[_Part]:
    """List what the server lacks; nothing where sending would double or shift rows.

    The server appends what it gets. So what it has must be just the beginning of what the disk has.
    """
    segments, left = job.disk.segments, job.lines_there
    for number, segment in enumerate(segments):
        if left == 0:
            return [_Part(later) for later in segments[number:]]
        if left < segment.history_count:
            later = [_Part(later) for later in segments[number + 1 :]]
            return [_Part(segment, left), *later] if _has_beginning(job, left) else []
        left -= segment.history_count
    # Every line is there but not all that comes with them, such as how the run ended.
    return [_Part(segments[-1], segments[-1].history_count)] if left == 0 else []


def _has_beginning(job: _Job, rows: int) -> bool:
    """Tell whether the server's rows are the first ones of the run's only segment, by the step of the last of them.

    Of several segments the server has renumbered the steps, so that they tell nothing.
    """
    if len(job.disk.segments) != 1 or job.there is None:
        return False
    return job.there.last_step == step_of_row(job.disk.segments[0], rows - 1)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
