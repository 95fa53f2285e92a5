"""Render a plan as a self-contained page: the pipeline as a graph, the runs of each experiment folded below it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runferry.report import html
from runferry.runs.state import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = "runferry.workflow.plan"
SIGNS = (
    "\N{WHITE CIRCLE}",
    "\N{RIGHTWARDS ARROW}",
    "\N{MULTIPLICATION SIGN}",
    "\N{UPWARDS ARROW}",
    "\N{CHECK MARK}",
)
"""Of `STATES`, so that no state is told by its colour alone."""
_CLASSES = ("to-do", "running", "failed", "unsynced", "done")


def render(record: Mapping[str, Any]) -> str:
    """Return the page of a plan that `runferry.workflow.plan.record.write` wrote.

    All text of the user's is escaped where it stands, or put into the page as text by its script; the page's own policy
    lets no other script run, and asks nothing of the network.
    """
    from markupsafe import Markup

    plan = record["plan"]
    script = html.template(_PACKAGE, "plan.js")
    style = _style(plan)
    now = datetime.now(UTC)
    return (
        html.jinja(_PACKAGE)
        .get_template("plan.html.jinja")
        .render(
            plan=plan,
            title=record["title"],
            experiments=plan["experiments"],
            environments=_environments(plan),
            states=list(zip(STATES, _CLASSES, SIGNS, strict=True)),
            policy=html.policy(script, style),
            style=Markup(style),
            script=Markup(script),
            data=html.data({"runs": record["runs"], "jobs": record["jobs"], "states": STATES, "signs": SIGNS}),
            made=now.strftime("%Y-%m-%d %H:%M UTC"),
            made_machine=now.isoformat(timespec="seconds"),
            hours=_hours,
            size=_size,
        )
    )


def _style(plan: Mapping[str, Any]) -> str:
    """Return the styles of the page, with a class for each part of a bar."""
    counts = [count for experiment in plan["experiments"] for count in experiment["states"].values()]
    return html.style(_PACKAGE, "plan.css") + html.rules("flex-grow", counts)


def _environments(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Group the experiments by their environment, in the order in which they are named."""
    grouped: dict[str | None, list[Any]] = {}
    for experiment in plan["experiments"]:
        grouped.setdefault(experiment["environment"], []).append(experiment)
    return [
        {"name": name, "there": plan["environments"].get(name, True), "experiments": experiments}
        for name, experiments in grouped.items()
    ]


def _hours(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _size(value: int) -> str:
    return f"{value / 1e9:,.1f} GB" if value >= 1e9 else f"{value / 1e6:,.1f} MB"
