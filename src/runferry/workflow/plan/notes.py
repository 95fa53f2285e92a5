"""Find what is not refused and may be meant otherwise: the lines `note:` of a plan."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING, Any

from runferry.config.names import WANDB
from runferry.config.programs import script_of
from runferry.config.sync_place import is_remote
from runferry.environment.notes import notes_of_source
from runferry.system.text import memory_in_words, time_in_words
from runferry.trackers.registry import settings_of
from runferry.workflow.executor_choice import chosen_executor, submits_several

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from runferry.config.experiment import Experiment
    from runferry.workflow.workflow import Workflow

_MOST_BYTES = 1_000_000
"""Of a script that is read for what it says to W&B."""


def notes_of(workflow: Workflow, to_train: Collection[str]) -> list[str]:
    """List what a user should know before a start, each in one line, none twice.

    Parameters
    ----------
    workflow
        The checked config and what follows from it.
    to_train
        The names of the experiments that jobs are planned for.
    """
    found = [*_of_the_start(workflow), *_of_experiments(workflow, to_train), *_of_environments(workflow)]
    return list(dict.fromkeys(found))


def _of_the_start(workflow: Workflow) -> Iterator[str]:
    named, counts = workflow.cluster_in_file, workflow.cluster.name
    if named and named != counts:
        yield f"cluster: config/config.yaml says {named}; the profile or the command line says {counts}, which counts"
    # Where another machine syncs, the key is there.
    if not is_remote(workflow.config) and (problem := settings_of(workflow.config).missing_key(workflow.config)):
        yield f"{problem}; the runs train without it, and nothing can be synced before"


def _of_experiments(workflow: Workflow, to_train: Collection[str]) -> Iterator[str]:
    tracker = settings_of(workflow.config)
    settings = workflow.config[tracker.name]
    for experiment in workflow.experiments.values():
        if experiment.sweep:
            yield from experiment.sweep.notes(settings)
        if workflow.config.get("tracker", WANDB) == WANDB and (script := script_of(experiment)):
            yield from _of_script(script, settings)
        if experiment.name in to_train:
            yield from _of_alternatives(experiment, workflow)
        if experiment.name in to_train and (own := _defaults_of_ours(experiment, workflow)):
            where = f"config: experiments.{experiment.name}.resources"
            yield f"{where}: {own}: a default of runferry's, since the site recommends nothing; say what the run needs"


def _of_alternatives(experiment: Experiment, workflow: Workflow) -> Iterator[str]:
    """Yield what becomes of several requests for a run, where it is not plain from them."""
    if not experiment.any_of:
        return
    where = f"config: experiments.{experiment.name}.resources.any_of"
    first, cluster, runs = experiment.any_of[0].words, workflow.cluster, len(experiment.runs)
    if not cluster.slurm:
        yield f"{where}: only the first ({first}) counts on {cluster.title}, where no job waits"
        return
    if not submits_several(sys.argv[1:]):
        asked = f"only the first ({first}) is asked for under executor: {chosen_executor(sys.argv[1:])}"
        yield f"{where}: {asked}; executor: runferry asks for all (docs/module.md)"
        return
    yield f"{where}: GPU-h and RGU-h above are those of the first ({first}), whichever starts"
    if cluster.jobs and cluster.jobs.advised and experiment.time < cluster.jobs.advised:
        least = time_in_words(cluster.jobs.advised)
        yield f"{where}: a run shares no job with others; {cluster.title} wants jobs of {least} at least"
    jobs, cap = len(experiment.any_of) * runs, cluster.jobs.cap if cluster.jobs else None
    if cap is not None and jobs > cap:
        most = max(1, cap // len(experiment.any_of))
        yield f"{where}: {jobs:,} jobs for {runs:,} runs; with --jobs {most} there are never more than {cap:,}"


def _of_environments(workflow: Workflow) -> Iterator[str]:
    for planned in workflow.environments.values():
        specification = planned.specification(wheelhouse=workflow.cluster.wheelhouse)
        yield from notes_of_source(specification)


def _defaults_of_ours(experiment: Experiment, workflow: Workflow) -> str:
    """Describe the cores and the memory that neither the user nor the site has said; nothing where there are none."""
    request = workflow.requests[experiment.name]
    if not workflow.cluster.slurm:
        return ""
    found: list[str] = []
    if experiment.cores is None and (request.gpu is None or request.gpu.cores is None):
        found.append(f"cores {request.cores}")
    if experiment.memory is None and request.memory and (request.gpu is None or request.gpu.memory is None):
        found.append(f"memory {memory_in_words(request.memory)}")
    return ", ".join(found)


def _of_script(script: Path, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a script names another project or entity than the config: what it says itself wins."""
    try:
        if script.suffix != ".py" or script.stat().st_size > _MOST_BYTES:
            return
        tree = ast.parse(script.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "wandb.init":
            continue
        for word in call.keywords:
            said = word.value.value if isinstance(word.value, ast.Constant) else None
            counts = settings.get(word.arg or "")
            if word.arg in {"project", "entity"} and isinstance(said, str) and said != counts:
                message = f"{script}, line {word.value.lineno}: {word.arg}={said!r} of the script counts"
                yield f"{message}, not the config's wandb.{word.arg} ({counts or 'none'})"
