"""The report of an experiment: one page with the learning curves and the table of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.files import write_atomically
from runferry.report.charts import curves_chart
from runferry.report.data import collect
from runferry.report.page import render

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build_report", "curves"]

_POINTS_EMBEDDED = 100


def build_report(experiment_folder: Path) -> Path:
    """Write `report.html` into the experiment's folder, `results/<experiment>`, and return its path.

    The page is one file and asks nothing of the network. It shows what is on disk at this moment: before,
    while and after the runs train, synced or not.

    Raises
    ------
    ConfigError
        When there is no such folder or no run in it.
    OSError
        When the page cannot be written; an earlier one stays as it was then.
    """
    page = experiment_folder / "report.html"
    write_atomically(page, render(collect(experiment_folder)))
    return page


def curves(experiment_folder: Path) -> dict[str, Any]:
    """Give the learning curves alone, as a Vega-Lite specification with its data.

    Raises
    ------
    ConfigError
        As `build_report` does.
    """
    return curves_chart(collect(experiment_folder, _POINTS_EMBEDDED))
