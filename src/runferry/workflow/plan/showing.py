"""Show the plan of a start: on the screen, or in the file of `runferry plan`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from runferry.errors import RunferryError
from runferry.system.messages import typed
from runferry.system.text import count_of
from runferry.workflow.plan import record
from runferry.workflow.plan.making import make_plan
from runferry.workflow.plan.text import lines
from runferry.workflow.start_options import chooses_jobs, when_jobs_are_chosen

if TYPE_CHECKING:
    from runferry.workflow.pack_plan import PackPlan
    from runferry.workflow.workflow import Workflow


def show_plan(workflow: Workflow, packs: PackPlan, snakemake: Any, *, quiet: bool) -> None:
    """Print the plan, or write it to the file of `runferry plan` and end Snakemake.

    Parameters
    ----------
    workflow
        The checked config and what follows from it.
    packs
        Which runs share jobs.
    snakemake
        Snakemake's workflow: what it is about to do is known when the Snakefile is read.
    quiet
        Whether the user wants to see nothing at all.
    """
    file = record.wanted()
    if file is None and quiet and not workflow.refusals:
        return

    def show(chosen: frozenset[str] | None = None) -> None:
        made = make_plan(packs, workflow, chosen)
        if file:
            record.write(file, made, packs.results)
        else:
            print("\n".join(lines(made)), file=sys.stderr, flush=True)  # noqa: T201

    if record.of_chosen_jobs() if file else chooses_jobs(sys.argv[1:]) and not workflow.refusals:
        when_jobs_are_chosen(snakemake, show)
        return
    show()
    if file:
        sys.exit(0)
    if workflow.refusals:
        # Of a dry run.
        line = f"{count_of(len(workflow.refusals), 'thing')} refused, as said above; a start ends with the first"
        sys.exit(f"runferry: {line}; {RunferryError.before_next}: {typed(sys.argv)}")
