"""Make the plan of a workflow: what would run, and what it would cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from runferry.runs.state import DONE, FAILED, RUNNING, UNSYNCED, WAITING, states_of
from runferry.trackers.registry import settings_of
from runferry.workflow.executor_choice import note_on_executor
from runferry.workflow.plan.model import (
    BYTES_OF_RUN,
    FILES_OF_PACK,
    FILES_OF_RULES,
    FILES_OF_RUN,
    ExperimentPlan,
    Plan,
    PlannedJob,
)
from runferry.workflow.plan.runs import PlannedRun, files_and_bytes, places_of
from runferry.workflow.plan.unknown import not_established

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from runferry.config.experiment import Experiment
    from runferry.config.job_request import Request
    from runferry.config.rounds import Rounds
    from runferry.workflow.pack_plan import PackPlan


def make_plan(
    packs: PackPlan, environments: Iterable[str], config: Mapping[str, Any], refusals: Sequence[str] = ()
) -> Plan:
    """Make the plan of a workflow.

    Parameters
    ----------
    packs
        What is to run where, which runs share jobs, what each asks for, and the folder of results.
    environments
        Names of those that are needed.
    config
        Checked: which tracker, and what its section says.
    refusals
        What was refused so far.
    """
    cluster = packs.cluster
    planned = [_experiment(experiment, packs) for experiment in packs.experiments.values()]
    done = (
        packs.results / experiment.name / run.id
        for experiment in planned
        for run in experiment.runs
        if run.state == DONE
    )
    measured = files_and_bytes(done)
    files, size = measured or (FILES_OF_RUN, BYTES_OF_RUN)
    new = sum(len(experiment.runs) - experiment.states[DONE] - experiment.states[UNSYNCED] for experiment in planned)
    tracker = settings_of(config)
    mode, reason = tracker.mode(config, cluster)
    return Plan(
        cluster.name,
        cluster.title,
        planned,
        {name: (packs.results / "environments" / f"{name}.json").exists() for name in environments},
        mode,
        reason,
        round(new * (files + FILES_OF_RULES)) + len(packs.packs) * FILES_OF_PACK,
        round(new * size),
        measured is not None,
        cluster.jobs.cap if cluster.jobs else None,
        refusals,
        tracker.name,
        tracker.title,
        note_on_executor(sys.argv[1:]) if cluster.slurm else None,
        not_established=not_established(cluster, packs.requests.values()),
    )


def _experiment(experiment: Experiment, packs: PackPlan) -> ExperimentPlan:
    folder = packs.results / experiment.name
    if experiment.rounds:
        return _bayes_sweep(experiment, experiment.rounds, folder, packs)
    states = states_of(folder, experiment.runs)
    jobs: list[PlannedJob] = []
    job_of_pack: dict[str, int] = {}
    by_runs: dict[int, PlannedJob] = {}
    runs: list[PlannedRun] = []
    for run in experiment.runs.values():
        state, why = states[run.id]
        number = None
        if state in {WAITING, RUNNING, FAILED}:
            pack = packs.pack_of.get(run.id)
            number = job_of_pack.get(pack) if pack else None
            if number is None:
                count = len(packs.packs[pack].runs) if pack else 1
                if count not in by_runs:
                    request = packs.request(experiment.name, pack) if pack else packs.requests[experiment.name]
                    by_runs[count] = _job(request, experiment, count)
                number = len(jobs)
                jobs.append(by_runs[count])
                if pack:
                    job_of_pack[pack] = number
        runs.append(PlannedRun(run.id, run.name, state, number, why))
    return ExperimentPlan(experiment.name, experiment.environment, runs, jobs, experiment.attempts)


def _bayes_sweep(experiment: Experiment, rounds: Rounds, folder: Path, packs: PackPlan) -> ExperimentPlan:
    """Plan a sweep whose runs are chosen while it goes on: one job for each place that has not ended."""
    job = _job(packs.requests[experiment.name], experiment, 1)
    runs: list[PlannedRun] = []
    jobs: list[PlannedJob] = []
    for place in places_of(folder, rounds):
        # A failed run of a round has ended, and is a result.
        number = None
        if not place.ended and place.state not in {UNSYNCED, DONE}:
            number = len(jobs)
            jobs.append(job)
        runs.append(PlannedRun(place.id, place.name, place.state, number, place.why))
    return ExperimentPlan(experiment.name, experiment.environment, runs, jobs, experiment.attempts)


def _job(request: Request, experiment: Experiment, runs: int) -> PlannedJob:
    return PlannedJob(
        runs,
        experiment.nodes,
        request.gpus,
        request.gpu.name if request.gpu else None,
        request.cores,
        request.memory,
        # In a pack, several runs take their turns.
        int(request.resources["runtime"]),
        request.gpu.rgu if request.gpu else None,
        request.tasks,
        # The last pack may have fewer.
        min(request.packing.share_gpu, runs),
    )
