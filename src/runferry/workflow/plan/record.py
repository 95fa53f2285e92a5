"""Pass a plan in a file from Snakemake, which reads the config as at a start, to `runferry plan`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.runs.state import STATES
from runferry.system.files import write_json
from runferry.workflow.plan.text import job_in_words, lines

if TYPE_CHECKING:
    from runferry.workflow.plan.model import Plan

VARIABLE = "RUNFERRY_PLAN"
"""Names the file; where it is set, Snakemake ends once the plan is written."""


def wanted() -> Path | None:
    """Return the file for the plan; None where Snakemake was not started by `runferry plan`."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


OF_CHOSEN_JOBS = "RUNFERRY_PLAN_OF_CHOSEN_JOBS"
"""Set where targets or options choose jobs, so that Snakemake has to find them first."""


def of_chosen_jobs() -> bool:
    """Return whether the plan that is wanted is that of the jobs that targets and options choose."""
    return OF_CHOSEN_JOBS in os.environ


def write(file: Path, plan: Plan, results: Path | None = None) -> None:
    """Write a plan: `plan` for programs, `lines` for users, and `runs` and `jobs` by experiment for the page.

    Parameters
    ----------
    results
        The folder of the experiments' folders, for `runferry plan --advice`.
    """
    write_json(
        file,
        {
            "plan": plan.as_json(),
            "title": plan.title,
            "lines": lines(plan),
            "results": str(results.resolve()) if results else None,
            "runs": {
                each.name: [[run.id, run.name, STATES.index(run.state), run.job, run.why] for run in each.runs]
                for each in plan.experiments
            },
            "jobs": {each.name: [job_in_words(job) for job in each.jobs] for each in plan.experiments},
        },
    )
