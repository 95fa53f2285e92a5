"""Read and change Snakemake's own objects, in this one place."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

_SNAKEMAKES_LIMIT = (100, 1)
"""Jobs and seconds, where nobody says `--max-jobs-per-timespan` (9.17 to 9.27)."""


async def sleep(executor: Any) -> None:
    """Wait until the jobs are checked next, in pieces: at its end, also after a Ctrl-C, Snakemake waits for this."""
    end = time.monotonic() + float(executor.next_seconds_between_status_checks or 40)
    while executor.wait and time.monotonic() < end:
        await asyncio.sleep(min(1.0, max(0.0, end - time.monotonic())))


def limited(executor: Any) -> bool:
    """Return whether the user gave Snakemake a limit, and so has chosen how fast jobs are submitted."""
    limit = executor.workflow.scheduling_settings.max_jobs_per_timespan
    return limit is not None and (limit.max_jobs, limit.timespan) != _SNAKEMAKES_LIMIT


def report_submission(executor: Any, job: Any, slurm_job: str) -> None:
    """Report a submitted job to Snakemake, in the executor's own way."""
    from snakemake_interface_executor_plugins.executors.base import (  # pyright: ignore[reportMissingTypeStubs]
        SubmittedJobInfo,
    )

    info = SubmittedJobInfo(job, external_jobid=slurm_job, aux={"slurm_logfile": None})
    # 2.8.0 submits in threads of its own.
    report = getattr(executor, "_report_job_submission_threadsafe", executor.report_job_submission)
    report(info)


def remove_log(executor: Any, info: Any) -> None:
    """Remove Slurm's log of a job that has trained, and its folder, as the plugin does unless told to keep it."""
    aux: dict[str, Any] = info.aux or {}
    log = aux.get("slurm_logfile")
    if log is None or getattr(executor.workflow.executor_settings, "keep_successful_logs", False):
        return
    # What is there besides, of a job that failed before, keeps the folder.
    with suppress(OSError):
        log.unlink(missing_ok=True)
        log.parent.rmdir()


def allow_no_retry(job: Any) -> None:
    """Keep Snakemake from starting a job again, whatever its `retries` say."""
    job.attempt = max(job.attempt, job.restart_times + 1)
