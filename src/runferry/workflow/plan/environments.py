"""Find which environments a start will build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.environment.record import read_record
from runferry.errors import PackingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.workflow.plan.model import ExperimentPlan
    from runferry.workflow.workflow import Workflow


def environments_there(
    workflow: Workflow, results: Path, experiments: Sequence[ExperimentPlan], chosen: frozenset[str] | None
) -> dict[str, bool]:
    """Return for each environment whether it will be used as it is, or by none; False is one that will be built.

    Parameters
    ----------
    workflow
        What the config asks for.
    results
        The folder of the experiments.
    experiments
        Planned: an environment that is not there is built where one of their runs is to be trained.
    chosen
        The outputs of the jobs that Snakemake will run; None goes by what is on disk.
    """
    needed = {experiment.environment for experiment in experiments if experiment.jobs}
    files = {name: results / "environments" / f"{name}.json" for name in workflow.environments}
    if chosen is not None:
        return {name: str(file) not in chosen for name, file in files.items()}
    # One that has changed is built again even where nothing is to be trained: so Snakemake has it.
    return {
        name: not _has_changed(workflow, name, file) if file.exists() else name not in needed
        for name, file in files.items()
    }


def _has_changed(workflow: Workflow, name: str, record_file: Path) -> bool:
    try:
        return read_record(record_file).specification != workflow.environment_digest(name)
    except (PackingError, OSError):
        return False
