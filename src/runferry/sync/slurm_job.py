"""Sync in a Slurm job on a partition with internet, where the login node has none or ends what lasts.

Whoever gets the lock submits one job for all that wait; the others find their answer when it has ended. The job is
`runferry sync` itself, with the lock of the results folder on its own node. It is given the key once it runs: in a
file that only the user can read, which the job removes as it reads it. So the key is in no script, variable or record
of Slurm's, and lies on the shared disk for seconds.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.runs import slurm
from runferry.runs.folder import FOLDER
from runferry.sync.job_exchange import ENDED, READY, SyncJobError, give_keys, make_exchange
from runferry.sync.options import SYNC_OPTIONS
from runferry.sync.outcome import Outcome
from runferry.sync.queue import SyncQueue
from runferry.sync.receipts import has_receipt
from runferry.system.files import read_json
from runferry.system.locks import turn
from runferry.trackers.api_keys import without_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder

JOB_NAME = "runferry-sync"
CORES, MEMORY = 2, "4G"
LOOK_SECONDS = 1.0
"""Between two looks at what the job has written."""
QUEUE_SECONDS = 30.0
"""Between two questions to Slurm, whether the job is still there."""
JOBS_AT_MOST = 4
"""One after the other for the same runs, where Slurm ended the one before."""
_ENDED_BY_SLURM = frozenset({"TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"})


ENDED_WELL = "exit code 0"


@dataclass(frozen=True)
class JobPlace:
    """What a job that syncs asks for.

    Attributes
    ----------
    partition
        Whose nodes reach the internet.
    account
        None where none is needed.
    minutes
        Its time limit.
    memory
        Whether sbatch takes `--mem`.
    """

    partition: str
    account: str | None
    minutes: int
    memory: bool = True

    def options(self) -> list[str]:
        """Return the options of sbatch."""
        options = [f"--job-name={JOB_NAME}", f"--partition={self.partition}", f"--time={self.minutes}"]
        options += [f"--cpus-per-task={CORES}", *([f"--mem={MEMORY}"] if self.memory else [])]
        return options + ([f"--account={self.account}"] if self.account else [])


def sync_in_job(
    folders: Sequence[RunFolder], place: JobPlace, words: Sequence[str], say: Callable[[str], None]
) -> list[Outcome]:
    """Sync runs in a job, together with all that wait, and wait until it has ended.

    Parameters
    ----------
    folders
        The runs.
    place
        Where the job runs.
    words
        Options of the `runferry sync` in the job.
    say
        Takes lines for the user.

    Returns
    -------
    list of Outcome
        One for each folder, in their order.

    Raises
    ------
    SyncJobError
        When Slurm does not take the job.
    """
    outcomes = [Outcome(folder) for folder in folders]
    by_results: dict[Path, list[Outcome]] = {}
    for outcome in outcomes:
        if not has_receipt(outcome.folder):
            by_results.setdefault(outcome.folder.path.resolve().parent.parent, []).append(outcome)
    for results, members in by_results.items():
        _sync_group(results, members, place, words, say)
    return outcomes


def _sync_group(
    results: Path, outcomes: Sequence[Outcome], place: JobPlace, words: Sequence[str], say: Callable[[str], None]
) -> None:
    queue = SyncQueue(results)
    with ExitStack() as stack:
        request = queue.ask(outcome.folder for outcome in outcomes)
        stack.callback(queue.withdraw, request)
        # One process of this machine at a time submits; the jobs of others wait for the lock of the results.
        stack.enter_context(turn(results / FOLDER / "submitter.lock"))
        answer = queue.take_answer(request)
        state = ""
        runs = [str(outcome.folder.path.resolve()) for outcome in outcomes]
        for _ in range(JOBS_AT_MOST):
            if answer is not None or (state and state not in _ENDED_BY_SLURM):
                break
            state = run_in_job(results, place, ["sync", *words, *runs], say)
            answer = queue.take_answer(request)
    for outcome in outcomes:
        if answer is not None:
            outcome.problem = answer[queue.key(outcome.folder)]
        elif not has_receipt(outcome.folder):
            outcome.problem = f"its job on {place.partition} ended ({state}) before it was synced"


def run_in_job(results: Path, place: JobPlace, words: Sequence[str], say: Callable[[str], None]) -> str:
    """Run a `runferry` command in a job with this process's keys, wait until it has ended, and return how.

    Where this process ends first by an exception, the job is cancelled.

    Parameters
    ----------
    results
        The results folder, in which job and submitter exchange files.
    place
        Where the job runs.
    words
        The command.
    say
        Takes lines for the user; what the job printed, too.

    Returns
    -------
    str
        `exit code 1`, or Slurm's state.

    Raises
    ------
    SyncJobError
        When Slurm does not take the job.
    """
    folder = make_exchange(results, words)
    job: str | None = None
    try:
        job = _submit(folder, place)
        say(f"job {job} on {place.partition} syncs")
        state = _wait(folder, job)
        job = None
        return state
    finally:
        if job:
            slurm.ask("scancel", job)
        for line in _lines_of(folder / "log"):
            say(line)
        shutil.rmtree(folder, ignore_errors=True)


def _submit(folder: Path, place: JobPlace) -> str:
    script = f"#!/bin/sh\nexec {shlex.join([sys.executable, '-m', 'runferry', 'sync-job', str(folder)])}\n"
    variables = {name: value for name, value in without_keys().items() if name != SYNC_OPTIONS}
    command = ["sbatch", "--parsable", f"--output={folder}/log", *place.options()]
    try:
        done = subprocess.run(
            command, input=script, env=variables, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SyncJobError(f"sbatch: found no answer ({error}), expected a job id") from error
    if done.returncode:
        said = " ".join(done.stderr.split())[:300]
        found = f"found that partition {place.partition} refuses the sync job ({said}), expected it to be accepted"
        raise SyncJobError(f"sbatch: {found}; name another sync.partition, or say login")
    return done.stdout.strip().partition(";")[0]


def _wait(folder: Path, job: str) -> str:
    """Give the job its keys once it runs, and wait until it has ended."""
    given = False
    asked = time.monotonic()
    while True:
        # A listing: a name that was once looked for in vain is missing for a while on NFS.
        names = set(os.listdir(folder))  # noqa: PTH208
        if ENDED in names:
            code: int = read_json(folder / ENDED)
            return f"exit code {code}" if code else ENDED_WELL
        if READY in names and not given:
            given = True
            give_keys(folder)
        if time.monotonic() - asked >= QUEUE_SECONDS:
            asked = time.monotonic()
            queued = slurm.queued_jobs()
            if queued is not None and not any(each.id == job and each.active for each in queued):
                return (slurm.ended_jobs([job]) or {}).get(job, "gone")
        time.sleep(LOOK_SECONDS)


def _lines_of(log: Path) -> list[str]:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [line.removeprefix("runferry: ") for line in lines if line.strip()]


def watch_in_job(
    results: Path, place: JobPlace, words: Sequence[str], say: Callable[[str], None], goes_on: Callable[[], Any]
) -> None:
    """Watch results in one job after the other, for as long as `goes_on`.

    Raises
    ------
    SyncJobError
        When Slurm does not take a job.
    """
    while goes_on():
        state = run_in_job(results, place, ["sync", *words], say)
        if state not in _ENDED_BY_SLURM | {ENDED_WELL}:
            say(f"the job that watches ended ({state})")
            return
