"""What was not started because an experiment that it needs has no result: said when a start has failed.

Snakemake names the jobs that failed, and is silent about those that it could not begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry import reasons
from runferry.experiment import BEST_FILE
from runferry.needs import check_needs
from runferry.run_folder import RunFolder, listed_runs
from runferry.under_way import last_attempt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.experiment import Experiment


def unmet_needs(results: Path, experiments: Mapping[str, Experiment]) -> list[str]:
    """Say in one line for each experiment that was not started why not, and which log to look into.

    Parameters
    ----------
    results
        The folder of the experiments' folders.
    experiments
        By name.
    """
    why: dict[str, str] = {}
    for name in check_needs({name: one.needs for name, one in experiments.items()}):
        for needed in experiments[name].needs:
            if needed in why:
                why[name] = f"it needs {needed}, which was not started either"
            elif not (results / needed / BEST_FILE).exists() and (failed := _failed(results / needed)):
                rounds = experiments[needed].rounds
                count = rounds.count if rounds else len(experiments[needed].runs)
                found = f"{len(failed)} of {count} runs failed" if count > 1 else "its run failed"
                why[name] = f"it needs {needed}, of which {found}; see {failed[0].log_file}"
    return [f"{name}: not started, because {reason}" for name, reason in why.items()]


def _failed(experiment: Path) -> list[RunFolder]:
    """List the runs that have ended for a fault of their own."""
    try:
        folders = [RunFolder(experiment / run) for run in listed_runs(experiment)]
    except FileNotFoundError:
        return []
    ended = {folder: last_attempt(folder) for folder in folders if not folder.trained_file.exists()}
    return [folder for folder, attempt in ended.items() if attempt and attempt.get("reason") in reasons.OWN_FAULT]
