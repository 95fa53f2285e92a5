"""Ask Slurm for jobs: those in the queue, those that have ended, and the time by which one has to end.

Slurm that does not answer is not a job that is gone: every function here tells the two apart.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_SECONDS = 30
"""To wait for an answer."""

NO_PARTITION = "runferry-names-none"
"""The name of no partition. The workflow has sinfo list it alone; `runferry doctor` sees whether that works."""

ACTIVE = frozenset(
    {
        "PENDING",
        "CONFIGURING",
        "RUNNING",
        "SUSPENDED",
        "STOPPED",
        "RESIZING",
        "SIGNALING",
        "STAGE_OUT",
        "COMPLETING",
        "REQUEUED",
        "REQUEUE_HOLD",
        "REQUEUE_FED",
        "SPECIAL_EXIT",
        "REVOKED",
    }
)
"""States of a job that has not ended, or that will run again (squeue(1), JOB STATE CODES)."""


@dataclass(frozen=True)
class QueuedJob:
    """A job as squeue lists it."""

    id: str
    state: str
    """As `RUNNING`. A job that has ended stays in the queue for MinJobAge seconds (300 by default)."""
    reason: str
    """Why it waits, as `Priority` (squeue(1), JOB REASON CODES); `None`, as a text, of a job that runs."""
    comment: str
    """What was given to sbatch; the executor plugin writes the rule and its wildcards into it."""
    folder: str
    """The working directory that it was submitted from."""

    @property
    def active(self) -> bool:
        """Return whether the job has not ended, or will run again."""
        return self.state in ACTIVE


def queued_jobs() -> list[QueuedJob] | None:
    """List the user's jobs in the queue; None when Slurm does not answer."""
    lines = ask("squeue", "--noheader", f"--user={os.getuid()}", "--states=all", "--format=%i|%T|%r|%k|%Z")
    if lines is None:
        return None
    fields = [line.split("|", 4) for line in lines]
    return [QueuedJob(*five) for five in fields if len(five) == 5]


def ended_jobs(jobs: Iterable[str]) -> dict[str, str] | None:
    """Return the last state of jobs as Slurm's accounting has it.

    Parameters
    ----------
    jobs
        Their ids.

    Returns
    -------
    dict
        Id -> state, such as `NODE_FAIL`; of a job of which a step ran out of memory `OUT_OF_MEMORY`, where the job
        itself is only `FAILED`. A job that is not known is not in it. None when accounting does not answer.
    """
    named = ",".join(jobs)
    if not named:
        return {}
    lines = ask("sacct", "--noheader", "--parsable2", f"--jobs={named}", "--format=JobID,State")
    if lines is None:
        return None
    states: dict[str, str] = {}
    for line in lines:
        name, _, state = line.partition("|")
        # "CANCELLED by 1000"
        word = state.partition(" ")[0]
        job, dot, _ = name.partition(".")
        if not dot or (word == "OUT_OF_MEMORY" and states.get(job) in {"FAILED", "COMPLETED"}):
            states[job] = word
    return states


def earlier_state(job: str) -> str | None:
    """Return the state in which a requeued job's previous run ended; None if it is unknown."""
    lines = ask(
        "sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", f"--jobs={job}", "--format=State"
    )
    return lines[-2].partition(" ")[0] if lines and len(lines) > 1 else None


def end_time(job: str) -> float | None:
    """Return the time by which a job has to end, in seconds since 1970; None where Slurm does not say.

    A job that is ending has none: its end is no time limit's.
    """
    lines = ask("scontrol", "--oneliner", "show", "job", job)
    fields = {name: value for name, _, value in (field.partition("=") for field in (lines or [""])[0].split())}
    return None if fields.get("JobState") == "COMPLETING" else read_time(fields.get("EndTime", ""))


def read_time(text: str) -> float | None:
    """Read a time as Slurm writes it with `STANDARD_TIMES`, in seconds since 1970; None for "Unknown" and the like."""
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


STANDARD_TIMES = {"SLURM_TIME_FORMAT": "standard"}
"""A variable for Slurm's programs: a user may have another format of times than what is read here."""


def ask(*command: str) -> list[str] | None:
    """Run one of Slurm's programs and return the lines that it printed; None where it is missing or failed."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, env=os.environ | STANDARD_TIMES, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else None


RUN_END_VARIABLE = "RUNFERRY_RUN_END"
"""Tells a launcher when its run has to end because others follow it in the job, in seconds since 1970."""


def job_end() -> float | None:
    """Return the time by which this process's job has to end, in seconds since 1970; None where nothing limits it.

    Newer versions of Slurm say it in the job's variables, the others when they are asked.
    """
    ends = [
        float(given)
        for name in (RUN_END_VARIABLE, "SLURM_JOB_END_TIME")
        if (given := os.environ.get(name, "")).isdigit()
    ]
    job = os.environ.get("SLURM_JOB_ID")
    if job and "SLURM_JOB_END_TIME" not in os.environ:
        asked = end_time(job)
        ends += [] if asked is None else [asked]
    return min(ends, default=None)
