"""Build the report of an experiment: one page with curves, runs, resource usage and endings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runferry.config.cluster import cluster_names, find_cluster
from runferry.report.data import read_experiment
from runferry.report.page import render
from runferry.report.use import use_of, write_use
from runferry.system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runferry.config.cluster import Cluster


def build_report(
    experiment_folder: Path, tell: Callable[[int, int], None] | None = None, cluster: str | None = None
) -> Path:
    """Write `report.html` into the experiment's folder, `results/<experiment>`, and return its path.

    The page is one file and asks nothing of the network. It shows what is on disk at this moment: before,
    while and after the runs train, synced or not. Where Slurm answers, what it says of the jobs is kept beside it in
    `usage.json`, and what the runs used in `use.json`.

    Parameters
    ----------
    tell
        Is given how many runs are read, and of how many, after each of them.
    cluster
        The name of the one whose requests are advised; None takes `$CC_CLUSTER`.

    Raises
    ------
    ConfigError
        When there is no such folder or no run in it; when there is no cluster of that name.
    OSError
        When the page cannot be written; an earlier one stays as it was then.
    """
    page = experiment_folder / "report.html"
    report = read_experiment(experiment_folder, tell)
    use = use_of(report.own)
    write_atomically(page, render(report, use, _cluster(cluster)))
    write_use(experiment_folder, use)
    return page


def _cluster(name: str | None) -> Cluster | None:
    if name is not None:
        return find_cluster(name)
    # One that runferry does not know is no reason to have no report.
    here = os.environ.get("CC_CLUSTER")
    return find_cluster(here) if here in cluster_names() else None
