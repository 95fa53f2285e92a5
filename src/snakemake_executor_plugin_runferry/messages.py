"""What is said of a job that has ended without training its runs."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from runferry.runs.log import LINES_SHOWN, end_of_log, read_tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder
    from runferry.workflow.training_job import TrainingJob

_LOGS_SHOWN = 4
"""Of a pack whose runs failed, whose ends are repeated."""

# What sbatch and the others say when the scheduler is away or overloaded (slurm_errno.c), or when one has as many jobs
# as one may; after some of these the job may be there.
TRY_AGAIN = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Connection timed out",
    "Connection reset",
    "Unexpected message received",
    "Zero Bytes were transmitted",
    "Slurm temporarily unable to accept job",
    "Resource temporarily unavailable",
    "MaxSubmitJobsPer",
    "QOSMaxSubmitJob",
    "AssocMaxSubmitJob",
    "job submit limit",
)


def ends_by_itself(answer: str) -> str | None:
    """Return which of `TRY_AGAIN` an answer of sbatch's has in it; None where it is a refusal."""
    found = next((part for part in TRY_AGAIN if part in answer), None)
    # The same line stands for every limit; one before it names the limit, where Slurm says so.
    other = re.search(r"\b(?:QOS|Assoc)\w*Limit\b", answer)
    if found == "job submit limit" and other and "Submit" not in other[0]:
        return None
    return found


def go_on(jobs: Sequence[str]) -> str:
    """Say that jobs of an earlier start go on.

    >>> go_on(["7"])
    'its job 7 of an earlier start is still there, and goes on'
    >>> go_on(["7", "8"])
    'its jobs 7, 8 of an earlier start are still there, and go on'
    """
    if len(jobs) == 1:
        return f"its job {jobs[0]} of an earlier start is still there, and goes on"
    return f"its jobs {', '.join(jobs)} of an earlier start are still there, and go on"


def last_words(training: TrainingJob, job: str, state: str, log: Path | None) -> str:
    """Describe how a job and its runs' last attempts ended.

    Parameters
    ----------
    training
        What the job was to train.
    job
        Its id.
    state
        Slurm's last word on it; "" where it no longer knows it.
    log
        Slurm's log of it.
    """
    said = [f"SLURM-job '{job}' ended as {state or 'one that Slurm no longer knows'}. "]
    logs = 0
    begun = False
    for folder in training.folders:
        attempts = folder.attempts()
        begun = begun or has_begun(folder, job)
        if attempts and not folder.has_finished:
            last = attempts[-1]
            message = f": {last.message}" if last.message else ""
            said.append(f"Run {folder.path.name}: {last.reason or last.outcome}{message}. ")
            if logs < _LOGS_SHOWN and (lines := end_of_log(folder.log_file)):
                logs += 1
                said.append(f"The end of {folder.log_file}:\n{lines}")
    if not begun:
        said.append(_never_began(state, log))
    return "".join(said)


def _never_began(state: str, log: Path | None) -> str:
    if state == "OUT_OF_MEMORY":
        return "It ran out of memory before it began to train: ask for more (resources.memory in config.yaml). "
    lines: list[str] = []
    if log:
        with suppress(OSError):
            # The launcher's own lines too: one of them says why.
            lines = [line for line in read_tail(log).splitlines() if line.strip()][-LINES_SHOWN:]
    printed = "".join(f"    | {line}\n" for line in lines)
    return f"It never began to train. The end of {log}:\n{printed}" if printed else "It never began to train. "


def has_begun(folder: RunFolder, job: str) -> bool:
    """Return whether a run has had an attempt in a job."""
    return any(record.job == job for record in folder.attempts())
