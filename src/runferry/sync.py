"""Brings what runs have on disk to the server, asks it what it holds, and writes receipts where the two agree."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from filelock import FileLock, Timeout

from runferry import wandb_sync
from runferry.disk import OnDisk, read_disk, readable_copy
from runferry.errors import RunferryError, ServerError
from runferry.receipt import differences, holds, write_receipt
from runferry.server import Server, find_server, given_base_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from runferry.run_folder import RunFolder
    from runferry.segment import Segment
    from runferry.server import RunOnServer

LOCK_FILE = ".sync.lock"
"""In the results folder: one `runferry sync` at a time works in it. Holds among the processes of one machine."""


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


@dataclass
class _Job:
    """One run on its way: what is on disk, where it goes and what is there."""

    outcome: Outcome
    disk: OnDisk
    project: str
    entity: str
    there: RunOnServer | None = None

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
        with _lock(results, say):
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
        different = [job for job in jobs if job.differences]
        appended = [job for job in different if _is_end_missing(job)]
        replaced = [job for job in different if not _is_end_missing(job) and _can_be_replaced(job)]
        self._send(appended, append=True)
        self._send(replaced, append=False)
        self._wait_for_counts([*appended, *replaced])
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

    def _send(self, jobs: Sequence[_Job], *, append: bool) -> None:
        if not jobs:
            return
        paths: list[Path] = []
        for job in jobs:
            segments = _missing(job) if append else job.disk.segments
            job.outcome.sent = [segment.name for segment in segments]
            paths += [readable_copy(segment, job.outcome.folder) for segment in segments]
        self.say(f"sending {_count(len(jobs), 'run')} ({_count(len(paths), 'segment')}) to {self.server.base_url}")
        try:
            wandb_sync.send(paths, self.server, append=append, deadline=self.limits.deadline, log=self.log)
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


def _missing(job: _Job) -> tuple[Segment, ...]:
    """Name the segments that the server has nothing of, where it has those before them whole."""
    if job.lines_there == 0:
        return job.disk.segments
    left = job.lines_there
    for number, segment in enumerate(job.disk.segments, 1):
        left -= segment.history_count
        if left == 0:
            return job.disk.segments[number:]
    return ()


def _is_end_missing(job: _Job) -> bool:
    """Tell whether the server has the first segments whole and none of the others: the others can be appended."""
    return bool(_missing(job))


def _can_be_replaced(job: _Job) -> bool:
    """Tell whether sending everything once more fills what is missing and doubles nothing.

    Lines of one segment go to the offsets that they had before. Several segments would all start at the first
    offset; and a server that has more than the disk has something from elsewhere.
    """
    return len(job.disk.segments) == 1 and job.lines_there <= job.disk.history_lines


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _lock(results: Path, say: Callable[[str], None]) -> AbstractContextManager[object]:
    lock = FileLock(results / LOCK_FILE)
    try:
        return lock.acquire(timeout=2)
    except Timeout:
        say(f"waiting for another runferry sync of {results} to end")
        return lock.acquire()
