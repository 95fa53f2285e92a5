"""Define the options of `runferry sync` that have it run in a Slurm job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from runferry.sync.slurm_job import JobPlace


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that have `runferry sync` run in a job."""
    group = parser.add_argument_group("in a job", "where this machine has no internet, and a partition's nodes have")
    group.add_argument("--in-job", metavar="PARTITION", help="submit a job there that syncs, and wait for it")
    group.add_argument("--job-account", metavar="ACCOUNT", help="what pays for the job")
    group.add_argument(
        "--job-minutes", type=int, default=30, metavar="MINUTES", help="its time limit (default: %(default)d)"
    )
    group.add_argument("--job-without-memory", action="store_true", help="where sbatch refuses --mem")


def job_place(given: argparse.Namespace) -> JobPlace | None:
    """Return what the job that syncs asks for; None where it is not to be one."""
    if not given.in_job:
        return None
    from runferry.sync.slurm_job import JobPlace

    return JobPlace(given.in_job, given.job_account, given.job_minutes, memory=not given.job_without_memory)
