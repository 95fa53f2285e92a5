"""Have the Slurm plugin submit several jobs for one of Snakemake's, each with resources of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.runs.first_start import ALTERNATIVE_VARIABLE, RACE_VARIABLE
from runferry.workflow.rule_functions import RESOURCES, request_key

if TYPE_CHECKING:
    from runferry.config.job_request import Request


class ChangedResources(dict[str, Any]):
    """A job's resources as the plugin reads them: by `get` and as attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class AlternativeJob:
    """A job of Snakemake's that asks for something else; in the rest it is the job.

    Parameters
    ----------
    job
        Snakemake's, whose resources are those of `first`, with what `--set-resources` says.
    first, request
        What it asks for, and what this one asks for in its place.
    race
        The id of the race that its jobs have.
    """

    def __init__(self, job: Any, first: Request, request: Request, race: str) -> None:
        self.job = job
        self.words = request.words
        self.resources = _changed(job.resources, first, request)
        self.threads = job.threads if request.cores == first.cores else request.cores
        self.variables = {RACE_VARIABLE: race, ALTERNATIVE_VARIABLE: request.words}
        self.submitted: Any = None
        """What the plugin reports of it, where it was submitted."""
        self.problem: str | None = None
        """Why it was not."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.job, name)


def real_job(job: Any) -> Any:
    """Return Snakemake's own job."""
    return job.job if isinstance(job, AlternativeJob) else job


def _changed(given: Any, first: Request, request: Request) -> ChangedResources:
    """Return a job's resources with what differs between two requests; what the user has set stays otherwise."""
    changed = ChangedResources(given.items())
    for name in RESOURCES:
        key = request_key(name)
        before, now = first.resources.get(key), request.resources.get(key)
        # `--set-resources` may have said another slurm_extra, beside which `slurm_request` has what is needed.
        if before == now or (name == "slurm_extra" and changed.get(name) != before):
            continue
        if now is None:
            changed.pop(name, None)
        else:
            changed[name] = now
    return changed
