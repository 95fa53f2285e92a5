"""Build the report of an experiment: one page with curves, runs, resource usage and endings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.report.data import read_experiment
from runferry.report.page import render
from runferry.system.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def build_report(experiment_folder: Path, tell: Callable[[int, int], None] | None = None) -> Path:
    """Write `report.html` into the experiment's folder, `results/<experiment>`, and return its path.

    The page is one file and asks nothing of the network. It shows what is on disk at this moment: before,
    while and after the runs train, synced or not. Where Slurm answers, what it says of the jobs is kept beside it in
    `usage.json`. `tell` is given how many runs are read, and of how many, after each of them.

    Raises
    ------
    ConfigError
        When there is no such folder or no run in it.
    OSError
        When the page cannot be written; an earlier one stays as it was then.
    """
    page = experiment_folder / "report.html"
    write_atomically(page, render(read_experiment(experiment_folder, tell)))
    return page
