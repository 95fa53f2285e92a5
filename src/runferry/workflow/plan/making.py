"""Make the plan of a workflow: what would run, and what it would cost."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from runferry.config.billing import billed
from runferry.config.rounds import FOLDER as ROUNDS
from runferry.runs.folder import RunFolder
from runferry.runs.pack import FOLDER, done_file
from runferry.runs.state import DONE, FAILED, RUNNING, UNSYNCED, WAITING, states_of
from runferry.trackers.registry import settings_of
from runferry.workflow.executor_choice import note_on_executor
from runferry.workflow.plan.environments import environments_there
from runferry.workflow.plan.model import (
    BYTES_OF_RUN,
    FILES_OF_PACK,
    FILES_OF_RULES,
    FILES_OF_RUN,
    ExperimentPlan,
    Plan,
    PlannedJob,
)
from runferry.workflow.plan.notes import notes_of
from runferry.workflow.plan.runs import PlannedRun, files_and_bytes, places_of

if TYPE_CHECKING:
    from pathlib import Path

    from runferry.config.cluster import Bundle
    from runferry.config.experiment import Experiment
    from runferry.config.job_request import Request
    from runferry.config.rounds import Rounds
    from runferry.workflow.pack_plan import PackPlan
    from runferry.workflow.workflow import Workflow


def make_plan(packs: PackPlan, workflow: Workflow, chosen: frozenset[str] | None = None) -> Plan:
    """Make the plan of a workflow.

    Parameters
    ----------
    packs
        What is to run where, which runs share jobs, what each asks for, and the folder of results.
    workflow
        The checked config with its environments, and what was refused.
    chosen
        The outputs of the jobs that Snakemake will run; None goes by what is on disk.
    """
    cluster, config = packs.cluster, workflow.config
    planned = [_experiment(experiment, packs, chosen) for experiment in packs.experiments.values()]
    done = (
        packs.results / experiment.name / run.id
        for experiment in planned
        for run in experiment.runs
        if run.state == DONE
    )
    measured = files_and_bytes(done)
    files, size = measured or (FILES_OF_RUN, BYTES_OF_RUN)
    new = sum(run.job is not None and run.state != DONE for experiment in planned for run in experiment.runs)
    tracker = settings_of(config)
    mode, reason = tracker.mode(config, cluster)
    return Plan(
        cluster.name,
        cluster.title,
        planned,
        environments_there(workflow, packs.results, planned, chosen),
        mode,
        reason,
        round(new * (files + FILES_OF_RULES)) + len(packs.packs) * FILES_OF_PACK,
        round(new * size),
        measured is not None,
        cluster.jobs.cap if cluster.jobs else None,
        workflow.refusals,
        tracker=tracker.name,
        tracker_title=tracker.title,
        executor_note=note_on_executor(sys.argv[1:]) if cluster.slurm else None,
        notes=tuple(notes_of(workflow, {each.name for each in planned if each.jobs})),
        account=workflow.account,
    )


def _experiment(experiment: Experiment, packs: PackPlan, chosen: frozenset[str] | None) -> ExperimentPlan:
    folder = packs.results / experiment.name
    if experiment.rounds:
        return _bayes_sweep(experiment, experiment.rounds, folder, packs, chosen)
    states = states_of(folder, experiment.runs)
    jobs: list[PlannedJob] = []
    job_of_pack: dict[str, int] = {}
    by_runs: dict[int, PlannedJob] = {}
    runs: list[PlannedRun] = []
    for run in experiment.runs.values():
        state, why = states[run.id]
        number = None
        pack = packs.pack_of.get(run.id)
        if _is_to_train(folder, run.id, state, packs, chosen):
            number = job_of_pack.get(pack) if pack else None
            if number is None:
                count = len(packs.packs[pack].runs) if pack else 1
                if count not in by_runs:
                    request = packs.request(experiment.name, pack) if pack else packs.requests[experiment.name]
                    by_runs[count] = _job(request, experiment, count, packs.cluster.bundle)
                number = len(jobs)
                jobs.append(by_runs[count])
                if pack:
                    job_of_pack[pack] = number
        runs.append(PlannedRun(run.id, run.name, state, number, why))
    return ExperimentPlan(experiment.name, experiment.environment, runs, jobs, experiment.attempts)


def _is_to_train(folder: Path, run: str, state: str, packs: PackPlan, chosen: frozenset[str] | None) -> bool:
    if chosen is None:
        return state in {WAITING, RUNNING, FAILED}
    if run in packs.finished:
        # Its pack has trained it, and its output has to be put in place only.
        return False
    pack = packs.pack_of.get(run)
    return str(done_file(folder / FOLDER / pack) if pack else RunFolder(folder / run).trained_file) in chosen


def _bayes_sweep(
    experiment: Experiment, rounds: Rounds, folder: Path, packs: PackPlan, chosen: frozenset[str] | None
) -> ExperimentPlan:
    """Plan a sweep whose runs are chosen while it goes on: one job for each place that has not ended."""
    job = _job(packs.requests[experiment.name], experiment, 1, packs.cluster.bundle)
    runs: list[PlannedRun] = []
    jobs: list[PlannedJob] = []
    files = rounds.places(str(folder / ROUNDS / "{round}" / "{place}.json"))
    for place, file in zip(places_of(folder, rounds), files, strict=True):
        # A failed run of a round has ended, and is a result.
        number = None
        waits = not place.ended and place.state not in {UNSYNCED, DONE}
        if waits if chosen is None else file in chosen:
            number = len(jobs)
            jobs.append(job)
        runs.append(PlannedRun(place.id, place.name, place.state, number, place.why))
    return ExperimentPlan(experiment.name, experiment.environment, runs, jobs, experiment.attempts)


def _job(request: Request, experiment: Experiment, runs: int, bundle: Bundle | None) -> PlannedJob:
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
        *billed(request, bundle),
    )
