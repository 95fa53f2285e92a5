"""Define the plan of a workflow: runs by state, jobs, their requests, and what the cluster would refuse."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runferry.runs.state import STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runferry.workflow.plan.runs import PlannedRun


FILES_OF_RUN, BYTES_OF_RUN = 13, 25_000
"""What a synced run leaves, its folder and those in it counted, where none is there to be measured: of a training
that logs ten rows with wandb 0.31 (benchmarks/scale.py). The bytes grow with what is logged."""


FILES_OF_RULES = 2
"""What Snakemake keeps of each run besides: metadata of its two rules."""


FILES_OF_PACK = 6
"""What a pack leaves: its folder with three files, and metadata of its two rules."""


@dataclass(frozen=True)
class PlannedJob:
    """One job of a plan, which is still to come.

    Attributes
    ----------
    runs : int
        How many runs share it.
    nodes : int
    gpus : int
        On each node.
    gpu : str or None
        The model.
    cores : int
        On each node.
    memory : int or None
        In MiB, on each node; None where the site is not told.
    minutes : int
        The longest that it may take.
    rgu : float or None
        Reference GPU units of one of its GPUs; None where that is not known.
    tasks : int
        On the node, which share its cores, memory and GPUs.
    share_gpu : int
        How many runs have one of its GPUs together.
    billed : float or None
        What the site bills for a node, in reference GPU units; None where that is not known.
    billed_by : str or None
        Which share is the largest: "GPUs", "cores" or "memory"; None where the others are not known.
    alternatives : tuple of PlannedJob
        Other jobs that are submitted with it; the first to start trains the run, and this one is what is added up.
    words : str
        What the config says of it, where it is one of several.
    """

    runs: int
    nodes: int
    gpus: int
    gpu: str | None
    cores: int
    memory: int | None
    minutes: int
    rgu: float | None
    tasks: int = 1
    share_gpu: int = 1
    billed: float | None = None
    billed_by: str | None = None
    alternatives: tuple[PlannedJob, ...] = ()
    words: str = ""

    @property
    def gpu_hours(self) -> float:
        """Return the GPU-hours that the job asks for."""
        return self.nodes * self.gpus * self.minutes / 60

    @property
    def rgu_hours(self) -> float:
        """Return the RGU-hours that the job is billed, as far as that is known."""
        return self.nodes * (self.billed or 0) * self.minutes / 60


@dataclass(frozen=True)
class ExperimentPlan:
    """One experiment of a plan."""

    name: str
    environment: str | None
    runs: Sequence[PlannedRun]
    jobs: Sequence[PlannedJob]
    attempts: int
    """Jobs that a run may have."""
    note: str | None = None
    """Of a search: how long it takes at most, and what it has given so far."""

    @cached_property
    def states(self) -> Counter[str]:
        """Return the number of runs in each state."""
        return Counter(run.state for run in self.runs)

    @property
    def to_train(self) -> int:
        """Return the number of runs that a job is planned for."""
        return sum(job.runs for job in self.jobs)

    def as_json(self) -> dict[str, Any]:
        """Return the experiment's plan as JSON values; times in hours, memory in MiB."""
        return {
            "name": self.name,
            "environment": self.environment,
            "runs": len(self.runs),
            "to_train": self.to_train,
            "states": {state: self.states[state] for state in STATES},
            **totals(self.jobs),
            "attempts": self.attempts,
            **({"note": self.note} if self.note else {}),
            "job_kinds": [{**asdict(job), "count": count} for job, count in Counter(self.jobs).items()],
        }


@dataclass(frozen=True)
class Plan:
    """The plan of a workflow: experiments, environments, files and refusals.

    Attributes
    ----------
    cluster : str
        Its name.
    title : str
        What the site calls it.
    experiments : sequence of ExperimentPlan
    environments : dict
        Name -> whether it is there already.
    mode : str
        "offline" or "online".
    reason : str
        Why, or what else is possible.
    files, bytes : int
        That will appear on the shared filesystem, estimated.
    measured : bool
        Whether the estimate is from finished runs of the same results.
    job_cap : int or None
        Jobs that a user may have at a time.
    refusals : sequence of str
        What will be refused, and how to fix it.
    notes : sequence of str
        What is not refused and may be meant otherwise.
    account : str or None
        Which one pays, and whether that could be checked.
    tracker, tracker_title : str
        What the runs log to: its name, "wandb" or "comet", and what a user calls it.
    executor_note : str or None
        What is less under the executor that the user has chosen.
    code : sequence of str
        Which code jobs run, and what has changed since runs were trained.
    renamed : sequence of str
        Experiments whose runs there are under another name.
    not_established : sequence of str
        Facts of the cluster that are not known, so that nothing is checked against them.
    """

    cluster: str
    title: str
    experiments: Sequence[ExperimentPlan]
    environments: Mapping[str, bool]
    mode: str
    reason: str
    files: int
    bytes: int
    measured: bool
    job_cap: int | None
    refusals: Sequence[str] = field(default_factory=tuple)
    notes: Sequence[str] = field(default_factory=tuple)
    account: str | None = None
    tracker: str = "wandb"
    tracker_title: str = "W&B"
    executor_note: str | None = None
    code: Sequence[str] = field(default_factory=tuple)
    renamed: Sequence[str] = field(default_factory=tuple)
    not_established: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        jobs = [job for experiment in self.experiments for job in experiment.jobs]
        states = count_states(self.experiments)
        return {
            "cluster": self.cluster,
            "experiments": [experiment.as_json() for experiment in self.experiments],
            "total": {
                "runs": states.total(),
                "to_train": sum(job.runs for job in jobs),
                "states": {state: states[state] for state in STATES},
                **totals(jobs),
            },
            "environments": dict(self.environments),
            "tracker": {"name": self.tracker, "title": self.tracker_title},
            self.tracker: {"mode": self.mode, "reason": self.reason},
            "shared_filesystem": {
                "files": self.files,
                "bytes": self.bytes,
                "estimate_from": "finished runs" if self.measured else "a training of ten rows",
            },
            "job_cap": self.job_cap,
            "executor_note": self.executor_note,
            "code": list(self.code),
            "renamed": list(self.renamed),
            "not_established": list(self.not_established),
            "account": self.account,
            "notes": list(self.notes),
            "refusals": list(self.refusals),
        }


def count_states(experiments: Iterable[ExperimentPlan]) -> Counter[str]:
    """Count the runs of several experiments by state."""
    counted: Counter[str] = Counter()
    for experiment in experiments:
        counted.update(experiment.states)
    return counted


def totals(jobs: Iterable[PlannedJob]) -> dict[str, Any]:
    """Add up the requests of jobs; RGU-hours (billed) are None where the units of one of their GPUs are not known."""
    jobs = list(jobs)
    with_gpus = [job for job in jobs if job.gpus]
    known = all(job.billed is not None for job in with_gpus)
    return {
        "jobs": len(jobs),
        "nodes": sum(job.nodes for job in jobs),
        "gpus": sum(job.nodes * job.gpus for job in jobs),
        "gpu_hours": round(sum(job.gpu_hours for job in jobs), 2),
        "rgu_hours": round(sum(job.rgu_hours for job in with_gpus), 2) if known else None,
        "job_hours": round(sum(job.minutes for job in jobs) / 60, 2),
        "longest_hours": round(max((job.minutes for job in jobs), default=0) / 60, 2),
    }
