"""Follow the jobs of a run of which the first to start trains it: see who started, and cancel the others.

A launcher claims its run's start before it does anything else (`runferry.runs.first_start`). Here the claim is looked
for as often as the runs' own files are; what Snakemake knows of the run's job is that one's from then on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snakemake_interface_executor_plugins.executors.base import (  # pyright: ignore[reportMissingTypeStubs]
    SubmittedJobInfo,
)

from runferry.runs import first_start, slurm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from runferry.runs.folder import RunFolder

AGAIN_SECONDS = 30.0
"""After which jobs are cancelled again where Slurm did not answer."""


@dataclass
class Race:
    """The jobs of one run in one race."""

    folder: RunFolder
    id: str
    jobs: dict[str, Path | None] = field(default_factory=dict[str, "Path | None"])
    """Those that may start, or have; each with Slurm's log of it."""
    losers: dict[str, Path | None] = field(default_factory=dict[str, "Path | None"])
    winner: str | None = None
    over: bool = False
    """Whether the run's end has been reported."""
    to_cancel: set[str] = field(default_factory=set[str])
    next_cancel: float = 0.0


def log_of(info: Any) -> Path | None:
    """Return where Slurm writes the log of a job, by what Snakemake knows of it; None where nobody has said."""
    aux: dict[str, Any] = info.aux or {}
    return aux.get("slurm_logfile")


class Races:
    """The races of this start, by Snakemake's jobs.

    Parameters
    ----------
    tell
        Takes a line for the user.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._races: dict[Any, Race] = {}
        self.jobs: set[str] = set()
        """All that have taken part, ended ones too."""

    def begin(self, job: Any, folder: RunFolder) -> Race:
        """Begin a race of jobs that are about to be submitted."""
        self._races[job] = Race(folder, first_start.begin_race(folder))
        return self._races[job]

    def adopt(self, job: Any, folder: RunFolder, race: str, logs: Mapping[str, Path | None]) -> str | None:
        """Go on with a race of an earlier start, of whose jobs some are still there.

        Returns
        -------
        str or None
            The job to follow; None where the one that started has ended, and the others are cancelled.
        """
        found = Race(folder, race, dict(logs))
        self.jobs.update(logs)
        first = next(iter(logs))
        started = first_start.claimed_by(folder, race)
        if started and started not in logs:
            self._cancel(found, set(logs))
            return None
        self._races[job] = found
        info = SubmittedJobInfo(job, external_jobid=first, aux={})
        self.look(info)
        return str(info.external_jobid)

    def add(self, race: Race, info: Any) -> bool:
        """Take a job into a race; cancel it where another one has started meanwhile. Return whether it is the first."""
        job, first = str(info.external_jobid), not (race.jobs or race.losers)
        self.jobs.add(job)
        race.jobs[job] = log_of(info)
        started = first_start.claimed_by(race.folder, race.id)
        if race.over or (started and started != job):
            self._lose(race, {job})
        return first

    def look_at_all(self, infos: Iterable[Any]) -> None:
        """See of each run whether one of its jobs has started."""
        if self._races:
            for info in infos:
                self.look(info)

    def look(self, info: Any) -> None:
        """See whether a job has started: `info` is about that one then, and the others are cancelled.

        Parameters
        ----------
        info
            What Snakemake knows of the run's job.
        """
        race = self._races.get(info.job)
        if race is None:
            return
        if race.winner is None:
            race.winner = first_start.claimed_by(race.folder, race.id)
            if race.winner is None:
                return
            # Where the claim was seen late, it may have been taken for one that ended before it started.
            race.jobs.setdefault(race.winner, race.losers.pop(race.winner, None))
            self._follow(race, info, race.winner)
            if others := len(set(race.jobs) - {race.winner}):
                cancelled = "the other job is cancelled" if others == 1 else f"{others} other jobs are cancelled"
                self._tell(f"{race.folder.path}: job {race.winner} has started first; {cancelled}")
        self._lose(race, set(race.jobs) - {race.winner})
        if race.to_cancel and time.monotonic() >= race.next_cancel:
            self._cancel(race, set(race.to_cancel))

    def jobs_of(self, info: Any) -> list[str]:
        """List the jobs to ask Slurm for: all that may start, or the one that has, and those that are to be gone."""
        race = self._races.get(info.job)
        return [info.external_jobid] if race is None else list({info.external_jobid, *race.jobs, *race.to_cancel})

    def note_ended(self, info: Any, ended: Collection[str]) -> None:
        """Leave out jobs that have ended, as Slurm says, before any has started; the last one of them is reported."""
        race = self._races.get(info.job)
        if race is None:
            return
        race.to_cancel.difference_update(ended)
        if race.winner:
            return
        # The last ones are reported as what Snakemake knows them for.
        left = [job for job in list(race.jobs) if job not in ended] or [info.external_jobid]
        for job in set(race.jobs) - set(left):
            race.losers[job] = race.jobs.pop(job)
            if left[0] not in ended:
                self._tell(f"{race.folder.path}: job {job} has ended before it started; the others go on")
        if info.external_jobid not in race.jobs:
            self._follow(race, info, left[0])

    def end(self, info: Any) -> list[Path]:
        """End the race of a run whose job has ended; return Slurm's logs of the jobs that did not train it."""
        race = self._races.pop(info.job, None)
        if race is None:
            return []
        race.over = True
        self._lose(race, set(race.jobs) - {info.external_jobid})
        if race.to_cancel:
            self._cancel(race, set(race.to_cancel))
        return [log for log in race.losers.values() if log]

    def active(self) -> dict[str, Any]:
        """Return what the executor would know of each job that may start or has, by its id."""
        return {
            job: SubmittedJobInfo(of, external_jobid=job, aux={"slurm_logfile": log})
            for of, race in list(self._races.items())
            for job, log in list(race.jobs.items())
        }

    @staticmethod
    def _follow(race: Race, info: Any, job: str) -> None:
        info.external_jobid, info.aux = job, {"slurm_logfile": race.jobs[job]}

    def _lose(self, race: Race, jobs: set[str]) -> None:
        for job in jobs:
            race.losers[job] = race.jobs.pop(job, None)
        if jobs:
            race.to_cancel |= jobs
            self._cancel(race, jobs)

    @staticmethod
    def _cancel(race: Race, jobs: set[str]) -> None:
        # Where it fails for a job that has ended meanwhile, the next look at the queue tells.
        if slurm.ask("scancel", *sorted(jobs)) is not None:
            race.to_cancel -= jobs
        race.next_cancel = time.monotonic() + AGAIN_SECONDS
