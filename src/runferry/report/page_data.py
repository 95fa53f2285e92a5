"""Collect what the page's script draws from."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from runferry.report.colours import DARK, DARK_RAMP, LIGHT, LIGHT_RAMP, Colours, unique_names
from runferry.report.importance import importances
from runferry.report.progress import progress_data
from runferry.system.values import is_number

if TYPE_CHECKING:
    from runferry.report.goals import Goal
    from runferry.report.model import ExperimentReport

_MOST_OUTCOMES = 20
"""Of more metrics than that only the first are offered as the outcome of a sweep."""


def page_data(report: ExperimentReport, colours: Colours) -> dict[str, Any]:
    """Return what the page's script draws from, as JSON values."""
    runs = report.runs
    outcomes = outcome_names(report)
    return {
        "runs": unique_names(runs),
        "within": [_number_of(report, run.within) for run in runs],
        "urls": [run.url for run in runs],
        "colours": colours.of_run,
        "light": colours.palette(),
        "dark": colours.palette(dark=True),
        "lightRamp": LIGHT_RAMP,
        "darkRamp": DARK_RAMP,
        "lightWords": LIGHT,
        "darkWords": DARK,
        "metrics": [
            {
                "name": metric,
                "series": [
                    {
                        "run": number,
                        "steps": curve.steps,
                        "values": curve.values,
                        **({"lost": list(curve.lost)} if curve.lost else {}),
                    }
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
            for name in system_names(report)
        ],
        "parameters": [
            {"name": name, "values": [_coordinate(run.given.get(name)) for run in runs]} for name in report.differing
        ],
        "finals": {metric: [_coordinate(run.final.get(metric)) for run in runs] for metric in report.finals},
        "bests": {
            metric: {way: [_best(run.best(metric, maximize=way == "highest")) for run in runs] for way in WAYS}
            for metric in outcomes
        },
        "goals": [_goal(goal) for goal in report.goals],
        **progress_data(report),
    }


WAYS = ("lowest", "highest")


def _goal(goal: Goal) -> dict[str, Any]:
    return {"metric": goal.metric, "way": WAYS[goal.maximize]}


def _best(best: tuple[float, int | None] | None) -> list[float | int | None] | None:
    return [float(f"{best[0]:.6g}"), best[1]] if best else None


def _number_of(report: ExperimentReport, run: str) -> int | None:
    return next((number for number, each in enumerate(report.runs) if each.id == run), None) if run else None


def _coordinate(value: Any) -> float | str | None:
    """Return a value as parallel coordinates take it: a number, a text, or None where there is nothing to draw."""
    if is_number(value):
        return value if math.isfinite(value) else None
    return None if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def system_names(report: ExperimentReport) -> list[str]:
    """Return the names of the machines' measurements."""
    return list(dict.fromkeys(name for run in report.runs for name in run.system))


def outcome_names(report: ExperimentReport) -> list[str]:
    """Return the metrics that may tell the best run: those of the goals first, and no counters."""
    goals = [goal.metric for goal in report.goals if goal.metric in report.finals]
    others = [metric for metric in [*report.metrics, *report.finals] if metric not in report.counters]
    return list(dict.fromkeys([*goals, *others]))[:_MOST_OUTCOMES]


def rated_outcomes(report: ExperimentReport) -> list[dict[str, Any]]:
    """Rate the parameters by what they have to do with each outcome; return nothing where all runs are alike."""
    own = report.own
    if not report.differing or len(own) < 2:
        return []
    given = [run.given for run in own]
    return [
        {
            "metric": metric,
            "ratings": importances(report.differing, given, [run.final.get(metric) for run in own]),
        }
        for metric in outcome_names(report)
    ]
