"""Ask a W&B server what it holds of runs, as often as it takes until its answer can be believed.

Its counts come late (by 2 to 4 s on a quiet day: pull request 12421 of wandb/wandb), and so do summary and last step
(12668). So where somebody may have written to a run lately, the server's answer is believed when a second one,
`Limits.settle` seconds later, is the same; and what was sent from here, when it is counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runferry.sync.wandb.comparison import differences
from runferry.sync.wandb.gone_for_good import may_be_accepted
from runferry.sync.wandb.job import by_place, only_summary, promises
from runferry.sync.wandb.rounds import is_counted, is_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runferry.sync.outcome import Limits
    from runferry.sync.wandb.job import Job
    from runferry.trackers.wandb.queries import RunOnServer
    from runferry.trackers.wandb.server import Server

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two questions."""


@dataclass(frozen=True)
class Questions:
    """Asks a server about runs and notes in each job what is there, and what differs.

    Every method raises `ServerError` when the server cannot be asked.
    """

    server: Server
    limits: Limits

    def look(self, jobs: Sequence[Job]) -> None:
        """Ask what is there before anything is sent; for files only where nothing else is missing."""
        for (entity, project), members in by_place(jobs).items():
            found, answer = self.server.look(entity, project, [job.disk.run_id for job in members])
            for job in members:
                job.entity = found
                job.there = answer.get(job.disk.run_id)
                self._compare(job)
        self.ask([job for job in jobs if not job.differences and promises(job)])

    def ask(self, jobs: Iterable[Job]) -> None:
        """Ask what is there now, with files and artifacts where the runs promised any."""
        for (entity, project), members in by_place(jobs).items():
            names = [job.disk.run_id for job in members]
            answer = self.server.runs(entity, project, names, with_files=any(map(promises, members)))
            for job in members:
                job.there = answer.get(job.disk.run_id)
                if job.there:
                    job.there = self._with_the_rest(job, job.there)
                self._compare(job)

    def settle(self, jobs: Sequence[Job]) -> None:
        """Ask again until two answers `Limits.settle` seconds apart are the same, or the patience is at its end."""
        end = time.monotonic() + self.limits.patience + self.limits.settle
        left = list(jobs)
        while left and time.monotonic() <= end:
            before = {id(job): _position(job) for job in left}
            time.sleep(self.limits.settle)
            self.ask(left)
            left = [job for job in left if _position(job) != before[id(job)]]

    def wait_for_round(self, jobs: Sequence[Job]) -> list[Job]:
        """Wait until what was sent in the rounds so far has arrived; return the runs of which it has not."""
        end = time.monotonic() + self.limits.patience
        pause = FIRST_PAUSE
        since: dict[int, tuple[Any, float]] = {}
        left = list(jobs)
        while left:
            self.ask(left)
            now = time.monotonic()
            for job in left:
                if since.get(id(job), (None, now))[0] != _position(job):
                    since[id(job)] = (_position(job), now)
            left = [
                job
                for job in left
                # The counts must be right. What else is not as on the disk may stay so, and must not change any more.
                if not is_counted(job) or not (is_known(job) or now - since[id(job)][1] >= self.limits.settle)
            ]
            if now + pause > end:
                break
            if left:
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        return left

    def wait_for_counts(self, jobs: Sequence[Job], patience: float, *, summary: bool = False) -> None:
        """Ask until everything that was sent is there, for so many seconds at most.

        The summary is not waited for without `summary`: that of several segments is sent afterwards.
        """
        end = time.monotonic() + patience
        pause = FIRST_PAUSE
        left = jobs
        while left:
            self.ask(left)
            left = [job for job in left if job.differences and (summary or not only_summary(job))]
            if not left or time.monotonic() + pause > end:
                return
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _with_the_rest(self, job: Job, there: RunOnServer) -> RunOnServer:
        """Ask for what one answer for many runs does not hold: many files, artifacts that another run logged first."""
        if there.files is not None and not there.all_files:
            there = replace(there, all_files=True, files=self.server.files(*job.place, job.disk.run_id))
        for artifact in job.disk.artifacts:
            if artifact.incremental:
                continue
            key = (artifact.name, artifact.digest)
            found = there.artifacts.get(key)
            if found and artifact.aliases <= found.aliases and artifact.tags <= found.tags:
                continue
            # A version with a content that the project has already is not made again, and an alias goes on to the next
            # version that wants it.
            versions = self.server.artifact_versions(*job.place, artifact)
            aliases = frozenset[str]().union(*(version.aliases for version in versions))
            version = next((version for version in versions if version.digest == artifact.digest), None)
            if version:
                there = replace(there, artifacts={**there.artifacts, key: replace(version, aliases=aliases)})
        return there

    def _compare(self, job: Job) -> None:
        job.differences = differences(job.disk, job.there)
        if self.limits.accept_missing:
            job.gone = [line for line in job.differences if may_be_accepted(line)]
            job.differences = [line for line in job.differences if line not in job.gone]


def _position(job: Job) -> Any:
    """Return what moves where somebody still writes to a run, or the server is behind."""
    there = job.there
    if there is None:
        return None
    return (
        there.state,
        there.history_lines,
        there.last_step,
        there.event_lines,
        there.output_lines,
        there.summary.get("_step"),
    )
