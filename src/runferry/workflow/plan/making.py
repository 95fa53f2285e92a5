"""Make the plan of a workflow: what would run, and what it would cost."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from runferry.config.billing import billed
from runferry.config.rounds import FOLDER as ROUNDS
from runferry.config.search.history import best_of
from runferry.config.search.state import points_file, points_of, read_events
from runferry.runs.folder import RunFolder
from runferry.runs.pack import FOLDER, done_file
from runferry.runs.state import DONE, FAILED, RUNNING, UNSYNCED, WAITING, states_of
from runferry.system.text import count_of, time_in_words
from runferry.trackers.registry import settings_of
from runferry.workflow.executor_choice import note_on_executor
from runferry.workflow.plan.code import code_notes
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
from runferry.workflow.plan.runs import PlannedRun, files_and_bytes, places_of, points_in_plan
from runferry.workflow.plan.unknown import not_established
from runferry.workflow.results_folder import renaming_notes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.config.cluster import Bundle
    from runferry.config.experiment import Experiment
    from runferry.config.job_request import Request
    from runferry.config.search.search import Search
    from runferry.workflow.pack_plan import PackPlan
    from runferry.workflow.plan.runs import Place
    from runferry.workflow.workflow import Workflow

_CODE = {
    "pinned": "code: pinned: jobs run a snapshot that is taken when Snakemake starts",
    "current": "code: a job runs the files as they are when it starts (`code: pinned` runs a snapshot of now)",
}


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
        code=(_CODE[str(config.get("code"))], *code_notes(packs.results, packs.experiments, planned)),
        renamed=renaming_notes(packs.results, packs.experiments),
        not_established=not_established(
            cluster, [each for one in packs.requests.values() for each in (one, *one.alternatives)]
        ),
    )


def _experiment(experiment: Experiment, packs: PackPlan, chosen: frozenset[str] | None) -> ExperimentPlan:
    folder = packs.results / experiment.name
    if experiment.rounds:
        files = experiment.rounds.places(str(folder / ROUNDS / "{round}" / "{place}.json"))
        return _chosen(experiment, places_of(folder, experiment.rounds), files, packs, chosen)
    if experiment.search:
        files = experiment.search.places(str(points_file(folder).with_name("{place}.json")))
        planned = _chosen(experiment, points_in_plan(folder, experiment.search), files, packs, chosen)
        return replace(planned, note=_note_on_search(experiment, experiment.search, len(planned.jobs), folder))
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


def _note_on_search(experiment: Experiment, search: Search, left: int, folder: Path) -> str:
    """Describe how long a search takes at most, and what it has given so far."""
    places = min(search.parallel, search.count)
    longest = search.longest_minutes(experiment.time, left)
    words = f"{count_of(left, 'point')} to come on {count_of(places, 'place')}, at most {time_in_words(longest)}"
    words = f"{words} of training; {search.engine} chooses them" if left else f"all {search.count} points have ended"
    best = best_of(points_of(read_events(points_file(folder))), experiment.sweep.definition if experiment.sweep else {})
    return f"{words}; {best}" if best else words


def _is_to_train(folder: Path, run: str, state: str, packs: PackPlan, chosen: frozenset[str] | None) -> bool:
    if chosen is None:
        return state in {WAITING, RUNNING, FAILED}
    if run in packs.finished:
        # Its pack has trained it, and its output has to be put in place only.
        return False
    pack = packs.pack_of.get(run)
    return str(done_file(folder / FOLDER / pack) if pack else RunFolder(folder / run).trained_file) in chosen


def _chosen(
    experiment: Experiment,
    places: Sequence[Place],
    files: Sequence[str],
    packs: PackPlan,
    chosen: frozenset[str] | None,
) -> ExperimentPlan:
    """Plan a sweep whose runs are chosen while it goes on: one job for each place that has not ended."""
    job = _job(packs.requests[experiment.name], experiment, 1, packs.cluster.bundle)
    runs: list[PlannedRun] = []
    jobs: list[PlannedJob] = []
    for place, file in zip(places, files, strict=True):
        # A failed run has ended, and is a result.
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
        tuple(_job(other, experiment, runs, bundle) for other in request.alternatives),
        request.words,
    )
