"""Word what a job asks for beside the plugin's own options, and keep Snakemake from starting one again."""

from __future__ import annotations

import shlex
from typing import Any


def missing_options(request: str | None, extra: str | None) -> str:
    """Return the options of a request that `slurm_extra`, which `--set-resources` may have replaced, does not have.

    >>> missing_options("--gpus-per-node=h100:4 --exclude=n1", "--mail-type=END --exclude=n2")
    ' --gpus-per-node=h100:4'
    """
    there = {word.partition("=")[0] for word in shlex.split(extra or "")}
    wanted = [word for word in shlex.split(request or "") if word.partition("=")[0] not in there]
    return "".join(f" {shlex.quote(word)}" for word in wanted)


def allow_no_retry(job: Any) -> None:
    """Have Snakemake not start a job again, whatever its `retries` say."""
    job.attempt = max(job.attempt, job.restart_times + 1)
