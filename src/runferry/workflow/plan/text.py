"""Format a plan as one screen of lines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from runferry.runs.state import DONE, FAILED, RUNNING, UNSYNCED
from runferry.system.text import aligned, count_of, memory_in_words, time_in_words
from runferry.workflow.plan.model import count_states, totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.workflow.plan.model import ExperimentPlan, Plan, PlannedJob


MOST_EXPERIMENTS = 20


_HEADER = ("", "runs", "to train", "running", "failed", "unsynced", "done", "jobs", "nodes", "GPUs", "GPU-h", "RGU-h")


def lines(plan: Plan) -> list[str]:
    """Return the lines of a plan."""
    jobs = [job for experiment in plan.experiments for job in experiment.jobs]
    shown = list(plan.experiments[:MOST_EXPERIMENTS])
    rows = [_HEADER, *(_row(each.name, [each], each.jobs) for each in shown)]
    if len(plan.experiments) > 1:
        rows.append(_row("total", plan.experiments, jobs))
    # What is refused stands first: the plan is that of the rest.
    refused = [f"refused: {line}" for line in plan.refusals]
    if not plan.experiments:
        return [*refused, f"Plan for {plan.title}: nothing is left to run"]
    found = [*refused, f"Plan for {plan.title}", *aligned(rows)]
    if len(plan.experiments) > len(shown):
        found.insert(-1, f"and {len(plan.experiments) - len(shown)} more experiments; runferry plan --json lists them")
    for experiment in shown:
        kinds = Counter(experiment.jobs).most_common()
        for job, count in kinds[:3]:
            found.append(f"{experiment.name}: {count_of(count, 'job')} of {job_in_words(job)}")
            ors = [f"{job_in_words(other)} ({other.words})" for other in job.alternatives]
            found += [f"{experiment.name}: or, if that starts first, {one}" for one in ors]
        found += [f"{experiment.name}: {experiment.note}"] if experiment.note else []
    return [*found, *_notes(plan, jobs)]


def _notes(plan: Plan, jobs: Sequence[PlannedJob]) -> list[str]:
    found: list[str] = []
    if jobs:
        most = max(experiment.attempts for experiment in plan.experiments)
        longest, total = max(job.minutes for job in jobs), sum(job.minutes for job in jobs)
        again = f"; up to {most} attempts each where it is cut short" if most > 1 else ""
        found.append(f"time asked for: longest job {time_in_words(longest)}, all jobs {time_in_words(total)}{again}")
        found.append(disk_in_words(plan))
    if plan.job_cap is not None and len(jobs) > plan.job_cap:
        found.append(f"jobs: {plan.title} lets a user have {plan.job_cap:,}; Snakemake submits the others as these end")
    missing = [name for name, there in plan.environments.items() if not there]
    if missing:
        found.append(f"environments to build: {', '.join(missing)}")
    if any(job.billed is not None and job.billed_by is None for job in jobs):
        found.append(f"RGU-h: of the GPUs alone; what {plan.title} bills for cores and memory is not established")
    if plan.account:
        found.append(f"account: {plan.account}")
    if plan.not_established:
        found.append(f"not established of {plan.title}, and not checked: {'; '.join(plan.not_established)}")
    if plan.executor_note:
        found.append(plan.executor_note)
    found += plan.renamed
    # Where nothing is to be trained, only what has changed.
    found += plan.code if jobs else plan.code[1:]
    found.append(f"{plan.tracker_title} {plan.mode}: {plan.reason}")
    return [*found, *(f"note: {note}" for note in plan.notes)]


def disk_in_words(plan: Plan) -> str:
    """Describe the files that will appear on the shared filesystem."""
    source = "from the finished runs" if plan.measured else "from a training of ten rows"
    size = f"{plan.bytes / 1e9:.1f} GB" if plan.bytes >= 1e9 else f"{plan.bytes / 1e6:.1f} MB"
    mine = "" if plan.measured else ", without checkpoints"
    return f"shared filesystem: about {plan.files:,} files and {size} more (an estimate {source}{mine})"


def job_in_words(job: PlannedJob) -> str:
    """Describe the request of one job.

    >>> from runferry.workflow.plan.model import PlannedJob
    >>> job_in_words(PlannedJob(5, 1, 1, "a100", 12, 124 * 1024, 60, 4.0, share_gpu=5))
    '5 runs, 1 a100 that 5 runs share, 12 cores, 124 GiB, 1h'
    """
    parts = [count_of(job.runs, "run")]
    each = " each" if job.nodes > 1 else ""
    if job.nodes > 1:
        parts.append(f"{job.nodes} nodes")
    if job.tasks > 1:
        parts.append(f"{job.tasks} tasks")
    if job.gpus:
        shared = f" that {job.share_gpu} runs share" if job.share_gpu > 1 else ""
        parts.append(f"{job.gpus} {job.gpu or 'GPU'}{each}{shared}")
    parts.append(f"{count_of(job.cores, 'core')}{each}")
    if job.memory:
        parts.append(f"{memory_in_words(job.memory)}{each}")
    parts.append(time_in_words(job.minutes))
    if job.billed is not None and job.billed_by:
        parts.append(f"billed as {job.billed * job.nodes:.3g} RGU by its {job.billed_by}")
    return ", ".join(parts)


def _row(name: str, experiments: Sequence[ExperimentPlan], jobs: Sequence[PlannedJob]) -> tuple[str, ...]:
    states = count_states(experiments)
    asked = totals(jobs)
    numbers = [states.total(), sum(job.runs for job in jobs), *(states[it] for it in (RUNNING, FAILED, UNSYNCED, DONE))]
    numbers += [asked["jobs"], asked["nodes"], asked["gpus"]]
    units = "unknown" if asked["rgu_hours"] is None else f"{asked['rgu_hours']:,.1f}"
    return (name, *(f"{number:,}" for number in numbers), f"{asked['gpu_hours']:,.1f}", units)
