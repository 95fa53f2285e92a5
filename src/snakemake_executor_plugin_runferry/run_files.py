"""Look at runs' own files, which say that a run has ended before anybody asks Slurm."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runferry.runs.ending import UNDER_WAY

if TYPE_CHECKING:
    from runferry.workflow.training_job import TrainingJob

LOOKS_PER_SECOND = 100
"""Of runs, at most: with thousands of them each is looked at less often."""


@dataclass
class RunFiles:
    """Remembers which of the runs have said that they have ended."""

    # Job -> when its run's attempts last changed.
    _changed: dict[str, int] = field(default_factory=dict[str, int])
    _over: set[str] = field(default_factory=set[str])

    def says_over(self, job: str, training: TrainingJob) -> bool:
        """Return whether a run has written something new that says that its attempt in a job is over.

        True once for each job, so that Slurm is asked once for the reason.
        """
        if job in self._over or len(training.folders) != 1:
            return False
        folder = training.folders[0]
        try:
            changed = os.stat(folder.attempts_folder).st_mtime_ns  # noqa: PTH116 - for each run, every two seconds
        except OSError:
            return False
        if self._changed.get(job) == changed:
            return False
        self._changed[job] = changed
        last = folder.attempts()[-1:]
        if last and last[0].get("job") == job and last[0].get("outcome") not in UNDER_WAY:
            self._over.add(job)
            return True
        return False
