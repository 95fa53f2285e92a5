"""After a SIGTERM: whether Slurm ends the job, why, and when it kills what is left.

A SIGTERM that scancel, a requeue, a preemption or the time limit sends is followed by SIGKILL: KillWait seconds later
(30, unless the site has another), or at the end of a preempted job's GraceTime. One that somebody sends with
`scancel --signal=TERM` is not. Slurm is asked which it is, in a process beside the command, so that nobody waits for
an answer; without one the worst is assumed.

What `scontrol show job` says (Slurm 22.05): a job that ends is COMPLETING, at its time limit with `Reason=TimeLimit`;
one that is requeued or preempted has been counted as restarted already; one that is preempted with a GraceTime is
RUNNING, has a PreemptTime, and an EndTime that is sooner.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from typing import Self

from runferry.runs import reasons, slurm

KILL_WAIT_SECONDS = 30.0
"""Slurm's default, where it does not say."""
ANSWER_SECONDS = 5.0
"""To wait for an answer, before the worst is assumed."""

_ASK = 'scontrol --oneliner show job "$0"; scontrol show config | grep -i "^KillWait"'


@dataclass(frozen=True)
class JobEnd:
    """How a job ends.

    Attributes
    ----------
    killed
        When SIGKILL comes, in seconds since 1970.
    reason
        One of `runferry.runs.reasons`; None where Slurm did not say.
    """

    killed: float
    reason: str | None


class JobEnding:
    """Asks Slurm once whether it ends the job that this process is in."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process
        self._begun = time.time()
        self._answered = process is None

    @classmethod
    def ask(cls) -> Self:
        """Begin to ask; outside of a job there is nobody to ask."""
        job = os.environ.get("SLURM_JOB_ID")
        if not job:
            return cls(None)
        try:
            # Its answer fits into a pipe.
            process = subprocess.Popen(
                ["sh", "-c", _ASK, job],
                env=os.environ | slurm.STANDARD_TIMES,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        except OSError:
            return cls(None)
        return cls(process)

    @property
    def waiting(self) -> bool:
        """Return whether the answer is still to come."""
        return not self._answered

    def seconds_to_next(self) -> float | None:
        """Return the seconds until an answer is given up; its coming is seen by the signal SIGCHLD."""
        return None if self._answered else max(0.0, self._begun + ANSWER_SECONDS - time.time())

    def answer(self) -> JobEnd | None:
        """Return how the job ends, once that is known; None before, and where it does not end."""
        if self._answered or self._process is None:
            return None
        late = time.time() >= self._begun + ANSWER_SECONDS
        if self._process.poll() is None and not late:
            return None
        self._answered = True
        if self._process.returncode is None:
            self._process.kill()
        printed, _ = self._process.communicate()
        return read_end(printed, self._begun)


def read_end(printed: str, asked: float) -> JobEnd | None:
    """Read what Slurm printed of a job and of its own configuration; None where the job does not end.

    Parameters
    ----------
    printed
        Of `scontrol show job` and the KillWait of `scontrol show config`; nothing where Slurm did not answer.
    asked
        When the signal came, in seconds since 1970.
    """
    wait = re.search(r"(?i)^KillWait\s*=\s*(\d+)", printed, re.MULTILINE)
    killed = asked + (float(wait[1]) if wait else KILL_WAIT_SECONDS)
    fields = dict(re.findall(r"(\w+)=(\S+)", printed))
    if "JobState" not in fields:
        return JobEnd(killed, None)
    if fields.get("PreemptTime", "None") not in {"None", "N/A"}:
        end = slurm.read_time(fields.get("EndTime", "")) or killed
        return JobEnd(max(end, asked), reasons.PREEMPTED)
    if fields["JobState"] in {"RUNNING", "SUSPENDED", "CONFIGURING"}:
        return None
    return JobEnd(killed, _reason(fields))


def _reason(fields: dict[str, str]) -> str:
    if fields.get("Reason") == "TimeLimit" or fields["JobState"] == "TIMEOUT":
        return reasons.TIME_LIMIT
    if fields["JobState"] == "PREEMPTED":
        return reasons.PREEMPTED
    earlier = os.environ.get("SLURM_RESTART_COUNT", "0")
    if int(fields.get("Restarts", "0")) > int(earlier if earlier.isdigit() else "0"):
        # Preempted or by somebody's hand: accounting says it later.
        return reasons.REQUEUED
    return reasons.CANCELLED
