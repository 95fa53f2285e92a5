"""Render the page of a report: one HTML file with its styles, scripts and data inside."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.report import html
from runferry.report.attempts import duration, suggestions
from runferry.report.colours import DARK_RAMP, LIGHT_RAMP, Colours, choose_colours, text_of, unique_names
from runferry.report.importance import LEAST_RUNS, importances
from runferry.report.model import NOTHING
from runferry.report.timeline import timeline
from runferry.system.values import is_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runferry.report.model import ExperimentReport, RunReport

_PACKAGE = "runferry.report"
_STATES = ("finished", "running", "failed", "not started")
_SCRIPTS = ("state.js", "scale.js", "chart.js", "coordinates.js", "page.js")
_MOST_OUTCOMES = 40
"""Of more metrics than that only the first are offered as the outcome of a sweep."""


@dataclass(frozen=True)
class Cell:
    """One cell of the table: its text, sort key and alignment."""

    text: str
    sort: str | float | None = None
    number: bool = False
    full: str = ""


def render(report: ExperimentReport) -> str:
    """Return the page of a report as HTML.

    All text of the user's (names, parameters, messages) is escaped where it stands; besides, the page's own policy
    lets no script run but the one in it, and asks nothing of the network.
    """
    from markupsafe import Markup

    colours = choose_colours(report)
    names = unique_names(report.runs)
    script = "".join(html.template(_PACKAGE, name) for name in _SCRIPTS)
    return (
        html.jinja(_PACKAGE)
        .get_template("report.html.jinja")
        .render(
            report=report,
            title=f"{report.name} \N{MIDDLE DOT} learning curves",
            place=_place(report),
            counts=_counts(report),
            receipts=_receipts(report),
            built=_moment(report.built),
            built_machine=report.built.isoformat(timespec="seconds"),
            policy=html.policy(script),
            style=html.style(_PACKAGE, "report.css"),
            palette=list(zip(colours.palette(), colours.palette(dark=True), strict=True)),
            script=Markup(script),
            data=html.data(_data(report, colours)),
            advice=suggestions(report.runs),
            outcomes=_outcomes(report),
            least_runs=LEAST_RUNS,
            systems=_systems(report),
            timeline=timeline(report, names),
            states=[state for state in _STATES if any(run.state == state for run in report.runs)],
            legend=_legend(colours),
            legend_title=colours.by,
            rows=_rows(report, colours),
            parameters=[(name, _parameters(report.runs, name)[0].number) for name in report.differing],
            shared=[(name, text_of(report.shared, name)) for name in report.shared],
            notes=[(i, name, run) for i, (name, run) in enumerate(zip(names, report.runs, strict=True)) if run.notes],
        )
    )


def _data(report: ExperimentReport, colours: Colours) -> dict[str, Any]:
    """Give what the page's script draws from."""
    runs = report.runs
    return {
        "runs": unique_names(runs),
        "colours": colours.of_run,
        "light": colours.palette(),
        "dark": colours.palette(dark=True),
        "lightRamp": LIGHT_RAMP,
        "darkRamp": DARK_RAMP,
        "metrics": [
            {
                "name": metric,
                "series": [
                    {"run": number, "steps": curve.steps, "values": curve.values}
                    for number, run in enumerate(runs)
                    if (curve := run.curves.get(metric))
                ],
            }
            for metric in report.metrics
        ],
        "clocks": [[[step for step, _ in run.clock], [seconds for _, seconds in run.clock]] for run in runs],
        "system": [
            {
                "name": name,
                "series": [
                    {"run": number, "seconds": curve.seconds, "values": curve.values}
                    for number, run in enumerate(runs)
                    if (curve := run.system.get(name))
                ],
            }
            for name in _systems(report)
        ],
        "parameters": [
            {"name": name, "values": [_coordinate(run.given.get(name)) for run in runs]} for name in report.differing
        ],
        "finals": {metric: [_coordinate(run.final.get(metric)) for run in runs] for metric in report.finals},
    }


def _coordinate(value: Any) -> float | str | None:
    """Give a value as parallel coordinates take it: a number, a text, or None where there is nothing to draw."""
    if is_number(value):
        return value if math.isfinite(value) else None
    return None if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _systems(report: ExperimentReport) -> list[str]:
    return list(dict.fromkeys(name for run in report.runs for name in run.system))


def _outcomes(report: ExperimentReport) -> list[dict[str, Any]]:
    """Rate the parameters by what they have to do with each metric; nothing where all runs are alike."""
    metrics = [metric for metric in [*report.metrics, *report.finals] if metric in report.finals]
    if not report.differing or len(report.runs) < 2:
        return []
    given = [run.given for run in report.runs]
    return [
        {
            "metric": metric,
            "ratings": importances(report.differing, given, [run.final.get(metric) for run in report.runs]),
        }
        for metric in list(dict.fromkeys(metrics))[:_MOST_OUTCOMES]
    ]


def _place(report: ExperimentReport) -> str:
    """Name the W&B project of the runs, with its entity where that is given."""
    for run in report.runs:
        if run.project:
            return f"{run.entity}/{run.project}" if run.entity else run.project
    return ""


def _counts(report: ExperimentReport) -> str:
    states = [run.state for run in report.runs]
    total = "1 run" if len(states) == 1 else f"{len(states)} runs"
    parts = [f"{states.count(state)} {state}" for state in _STATES if state in states]
    return f"{total}: {', '.join(parts)}"


def _receipts(report: ExperimentReport) -> str:
    count = sum(run.verified is not None and not run.receipt_is_old for run in report.runs)
    if count == len(report.runs):
        return "the server holds every record"
    return f"receipts for {count} of {len(report.runs)}" if count else "no receipt yet"


def _legend(colours: Colours) -> list[dict[str, Any]]:
    if len(colours.labels) < 2:
        return []
    return [
        {"label": label, "colour": i, "runs": [n for n, colour in enumerate(colours.of_run) if colour == i]}
        for i, label in enumerate(colours.labels)
    ]


def _rows(report: ExperimentReport, colours: Colours) -> list[dict[str, Any]]:
    parameters = [_parameters(report.runs, name) for name in report.differing]
    finals = {metric: _numbers([run.final.get(metric) for run in report.runs]) for metric in report.finals}
    return [
        {
            "run": run,
            "number": number,
            "name": name,
            "colour": colours.of_run[number],
            "parameters": [column[number] for column in parameters],
            "finals": [finals[metric][number] for metric in report.finals],
            "duration": Cell(duration(run.seconds), run.seconds, number=True),
            "verified": f"{_day(run.verified)}, {run.verified:%H:%M}" if run.verified else "",
        }
        for number, (name, run) in enumerate(zip(unique_names(report.runs), report.runs, strict=True))
    ]


def _parameters(runs: Sequence[RunReport], parameter: str) -> list[Cell]:
    """Write one parameter of all runs: set to the right, and sorted as numbers, where it has no other values."""
    given = [run.given for run in runs]
    number = all(is_number(values[parameter]) for values in given if parameter in values)
    cells: list[Cell] = []
    for values in given:
        text = text_of(values, parameter)
        sort = None if parameter not in values else float(values[parameter]) if number else text
        cells.append(Cell(text, sort, number=number))
    return cells


def _numbers(values: Sequence[float | None]) -> list[Cell]:
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


def _moment(time: datetime) -> str:
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _day(time: datetime) -> str:
    return f"{time.day} {time:%b %Y}"
