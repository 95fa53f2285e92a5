"""Look at runs' own files, which say that a run has begun or ended before anybody asks Slurm."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runferry.runs import reasons
from runferry.runs.attempt_record import AttemptRecord
from runferry.runs.ending import UNDER_WAY
from runferry.runs.state import last_attempt

if TYPE_CHECKING:
    from pathlib import Path

    from runferry.runs.folder import RunFolder
    from runferry.workflow.training_job import TrainingJob

LOOKS_PER_SECOND = 100
"""Of runs, at most: with thousands of them each is looked at less often."""

QUEUED, RUNNING, TRAINED, FAILED = STATES = ("queued", "running", "trained", "failed")


@dataclass
class RunFiles:
    """Remembers what the records of the runs' last attempts said."""

    # Run -> when its attempts last changed, and the record of the last one.
    _changed: dict[Path, int] = field(default_factory=dict["Path", int])
    _last: dict[Path, AttemptRecord] = field(default_factory=dict["Path", AttemptRecord])
    # Jobs whose runs have said that they have ended.
    _over: set[str] = field(default_factory=set[str])

    def look(self, job: str, training: TrainingJob) -> bool:
        """Read what is new of a job's runs; return whether a run that has the job to itself says that it is over.

        True once for each job, so that Slurm is asked once for the reason.
        """
        new = [folder for folder in training.folders if self._read(folder)]
        if not new or job in self._over or len(training.folders) != 1:
            return False
        last = self._last[new[0].path]
        if last.job == job and last.outcome not in UNDER_WAY:
            self._over.add(job)
            return True
        return False

    def state(self, folder: RunFolder, job: str | None) -> str:
        """Return one of `STATES`, as of the last look.

        Parameters
        ----------
        folder
            Of the run.
        job
            The run's job; None where no job of it is active.
        """
        last = self._last.get(folder.path, AttemptRecord())
        outcome = last.outcome
        if job is not None and last.job != job:
            # An earlier job's: a pack goes on without the runs that have finished, others may be trained anew.
            return TRAINED if folder.has_finished else QUEUED
        if outcome == "finished":
            return TRAINED
        if outcome in UNDER_WAY:
            return RUNNING
        goes_on = outcome is None or (last.reason in reasons.CONTINUED and not last.given_up)
        return QUEUED if goes_on else FAILED

    def _read(self, folder: RunFolder) -> bool:
        """Read the record of a run's last attempt where something has changed; return whether it has."""
        try:
            changed = os.stat(folder.attempts_folder).st_mtime_ns  # noqa: PTH116 - for each run, every two seconds
        except OSError:
            return False
        if self._changed.get(folder.path) == changed:
            return False
        self._changed[folder.path] = changed
        self._last[folder.path] = last_attempt(folder) or AttemptRecord()
        return True
