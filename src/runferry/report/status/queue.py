"""Describe the runs' jobs in Slurm's queue, and why they wait."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.runs import slurm
from runferry.system.text import count_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runferry.runs.slurm import QueuedJob

LEAST_SECONDS = 30.0
"""Between two questions to Slurm: sites ask not to call squeue every few seconds."""

REASONS = {
    "AssocGrpCpuLimit": "the group's cores are in use",
    "AssocGrpGRES": "the group's GPUs are in use",
    "AssocGrpJobsLimit": "the group has as many jobs running as it may",
    "AssocGrpMemLimit": "the group's memory is in use",
    "AssocMaxJobsLimit": "you have as many jobs running as you may",
    "BeginTime": "it is to begin later",
    "Dependency": "it waits for another job",
    "DependencyNeverSatisfied": "the job that it waits for failed; it will never start: scancel it",
    "InvalidAccount": "its account is not valid; see slurm_account in config.yaml",
    "InvalidQOS": "its quality of service is not valid",
    "JobArrayTaskLimit": "as many tasks of its array run as may",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "it is held; scontrol release lets it go",
    "Licenses": "it waits for a licence",
    "MaxMemPerLimit": "it asks for more memory than a job may have",
    "NodeDown": "a node that it needs is down",
    "PartitionDown": "its partition is down",
    "PartitionNodeLimit": "no node of its partition has what it asks for",
    "PartitionTimeLimit": "it asks for more time than its partition gives; see resources.time in config.yaml",
    "Priority": "jobs of a higher priority come first",
    "QOSMaxJobsPerUserLimit": "you have as many jobs running as you may",
    "ReqNodeNotAvail": "the nodes that it could have are down or reserved, as for maintenance",
    "Reservation": "it waits for its reservation",
    "Resources": "it is next, when enough is free",
}
"""The reasons that Slurm gives most, in words (squeue(1), JOB REASON CODES)."""


@dataclass(frozen=True)
class RunsJob:
    """A job of the queue that trains a run or a pack of them."""

    job: QueuedJob
    experiment: str
    of: str
    """The id of the run or of the pack."""


@dataclass
class QueuedRuns:
    """The user's jobs in Slurm's queue, and the runs that they train.

    Attributes
    ----------
    present : bool
        Whether this machine has Slurm's `squeue`.
    jobs : list of QueuedJob or None
        All of the user's; None where Slurm did not answer, or there is none.
    """

    present: bool
    jobs: Sequence[QueuedJob] | None = None

    @property
    def active(self) -> frozenset[str] | None:
        """Return the ids of the user's jobs that have not ended; None where they are not known."""
        return None if self.jobs is None else frozenset(job.id for job in self.jobs if job.active)

    def jobs_of(self, experiments: Iterable[Path]) -> list[RunsJob]:
        """List the active jobs that train runs of these experiments, given by their folders."""
        # The longest name first: one may begin like another.
        folders = sorted(experiments, key=lambda folder: -len(folder.name))
        found: list[RunsJob] = []
        for job in self.jobs or ():
            # The executor plugin's comment: rule_<name>_wildcards_<experiment>_<run or pack>.
            rule, _, wildcards = job.comment.partition("_wildcards_")
            if not job.active or not rule.endswith(("train", "train_pack")):
                continue
            for folder in folders:
                if wildcards.startswith(f"{folder.name}_") and folder.is_relative_to(Path(job.folder).resolve()):
                    found.append(RunsJob(job, folder.name, wildcards.removeprefix(f"{folder.name}_")))
                    break
        return found


@dataclass
class Asking:
    """Asks Slurm for the queue, at most once every `interval` seconds."""

    interval: float = LEAST_SECONDS
    _queue: QueuedRuns | None = None
    _asked: float = field(default=0.0)

    def queue(self) -> QueuedRuns:
        """Return the queue as it was when Slurm was asked last."""
        if self._queue is None or time.monotonic() - self._asked >= max(self.interval, LEAST_SECONDS):
            present = shutil.which("squeue") is not None
            self._queue = QueuedRuns(present, slurm.queued_jobs() if present else None)
            self._asked = time.monotonic()
        return self._queue


def queue_in_words(jobs: Sequence[RunsJob]) -> str:
    """Describe how many jobs run and wait, and why they wait, the most frequent reason first."""
    waiting = [each.job.reason for each in jobs if each.job.state == "PENDING"]
    others = Counter(each.job.state.lower() for each in jobs if each.job.state != "PENDING")
    parts = [f"{count} {state}" for state, count in others.most_common()]
    parts += [f"{len(waiting)} waiting"] if waiting else []
    counted = Counter(waiting).most_common()
    why = [f"{count} {reason}{_explanation(reason)}" for reason, count in counted]
    # With `any_of` a run has several, of which the first to start trains it.
    if waiting and (runs := len({(each.experiment, each.of) for each in jobs})) < len(jobs):
        parts[-1] += f" (all for {count_of(runs, 'run')})"
    return ", ".join(parts) + (": " + ", ".join(why) if why else "")


def _explanation(reason: str) -> str:
    # As in `ReqNodeNotAvail, UnavailableNodes:nc[1-3]`.
    words = REASONS.get(reason.partition(",")[0].strip("()"))
    return f" ({words})" if words else ""
