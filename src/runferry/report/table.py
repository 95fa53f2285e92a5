"""Fill the cells of the report's table of runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.report.attempts import duration
from runferry.report.colours import Colours, text_of, unique_names
from runferry.report.model import NOTHING
from runferry.report.summary import Ranked, ranking
from runferry.system.values import is_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runferry.report.model import ExperimentReport, RunReport


@dataclass(frozen=True)
class Cell:
    """One cell of the table: its text, sort key and alignment."""

    text: str
    sort: str | float | None = None
    number: bool = False
    full: str = ""


def table_rows(report: ExperimentReport, colours: Colours) -> list[dict[str, Any]]:
    """Return the rows of the table: the job with the best run first, below each the further W&B runs of its job."""
    parameters = [parameter_cells(report.runs, name) for name in report.differing]
    finals = {metric: number_cells([run.final.get(metric) for run in report.runs]) for metric in report.finals}
    goal = report.goals[0] if report.goals else None
    ranked = ranking(report, goal) if goal else []
    places = {each.number: each for each in ranked}
    best = number_cells([places[n].value if n in places else None for n in range(len(report.runs))])
    rows: list[dict[str, Any]] = [
        {
            "run": run,
            "number": number,
            "name": name,
            "colour": colours.of_run[number],
            "best": best[number],
            "best_step": _step(places.get(number)),
            "lost": [f"{metric}: {what} since step {step}" for metric, (step, what) in run.lost.items()],
            "parameters": [column[number] for column in parameters],
            "finals": [finals[metric][number] for metric in report.finals],
            "duration": Cell(duration(run.seconds), run.seconds, number=True),
            "verified": f"{_day(run.verified)}, {run.verified:%H:%M}" if run.verified else "",
        }
        for number, (name, run) in enumerate(zip(unique_names(report.runs), report.runs, strict=True))
    ]
    order = {each.number: place for place, each in enumerate(ranked)}
    groups: list[list[dict[str, Any]]] = []
    for row in rows:
        if row["run"].within:
            groups[-1].append(row)
        else:
            groups.append([row])
    groups.sort(key=lambda group: min(order.get(row["number"], len(order)) for row in group))
    return [row for group in groups for row in group]


def _step(ranked: Ranked | None) -> Cell:
    if ranked is None or ranked.step is None:
        return Cell(NOTHING, number=True)
    return Cell(str(ranked.step), ranked.step, number=True)


def parameter_cells(runs: Sequence[RunReport], parameter: str) -> list[Cell]:
    """Write one parameter of all runs: set to the right, and sorted as numbers, where it has no other values."""
    given = [run.given for run in runs]
    number = all(is_number(values[parameter]) for values in given if parameter in values)
    cells: list[Cell] = []
    for values in given:
        text = text_of(values, parameter)
        sort = None if parameter not in values else float(values[parameter]) if number else text
        cells.append(Cell(text, sort, number=number))
    return cells


def number_cells(values: Sequence[float | None]) -> list[Cell]:
    """Write the numbers of one column with as many decimals as give the largest four digits."""
    finite = [abs(value) for value in values if value is not None and math.isfinite(value)]
    largest = max(finite, default=0.0)
    whole = all(value == int(value) for value in finite)
    decimals = 0 if whole or not largest else min(max(3 - math.floor(math.log10(largest)), 0), 6)
    cells: list[Cell] = []
    for value in values:
        if value is None:
            cells.append(Cell(NOTHING, number=True))
        elif not math.isfinite(value):
            cells.append(Cell("NaN" if math.isnan(value) else "\u221e" if value > 0 else "\u2212\u221e", number=True))
        else:
            plain = value == 0 or (abs(value) >= 1e-4 and largest < 1e7)
            text = f"{value:.{decimals}f}" if plain else f"{value:.3g}"
            cells.append(Cell(text.replace("-", "\u2212"), value, number=True, full=repr(value)))
    return cells


def _day(time: datetime) -> str:
    return f"{time.day} {time:%b %Y}"
