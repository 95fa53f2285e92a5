"""Choose where runs are synced from: the login node, a job on a partition with internet, or another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.system import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.config.cluster import Cluster

LOGIN, JOB, REMOTE = "login", "job", "remote"


def is_remote(config: Mapping[str, Any]) -> bool:
    """Return whether another machine syncs the runs, and no rule here does."""
    return config["sync"]["where"] == REMOTE


def job_options(config: Mapping[str, Any], cluster: Cluster, account: str | None) -> list[str]:
    """Return the options by which `runferry sync` syncs in a job; none where it syncs where it is typed.

    Parameters
    ----------
    config
        The checked config.
    cluster
        Its cluster.
    account
        What pays for the job, by Slurm's name; None where none is needed.

    Raises
    ------
    ConfigError
        When a job is to sync and no partition is known from which it can.
    """
    section = config["sync"]
    if section["where"] != JOB:
        return []
    partition = section["partition"] or cluster.sync.partition
    if not cluster.slurm or partition is None:
        why = f"{cluster.title} has no Slurm"
        if cluster.slurm:
            why = (
                f"runferry knows no partition of {cluster.title} that has internet; if there is one, set sync.partition"
            )
        raise ConfigError(f"sync.where: found job, expected login or remote: {why}")
    options = [f"--in-job={partition}", f"--job-minutes={text.minutes(section['job_time'])}"]
    options += [f"--job-account={account}"] if account else []
    return options if cluster.jobs is None or cluster.jobs.memory_flag else [*options, "--job-without-memory"]
