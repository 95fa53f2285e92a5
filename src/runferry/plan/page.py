"""A plan as a self-contained page: the pipeline as a graph, each experiment folding open into its runs."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from runferry.plan.runs import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Make the page of what `runferry.plan.record.write` has written.

    All text of the user's is escaped where it stands, or put into the page as text by its script; the page's own policy
    lets no other script run, and asks nothing of the network.
    """
    import jinja2
    from markupsafe import Markup

    plan = record["plan"]
    script = _template("plan.js")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    # Inside a script element only "<" could end it; in JSON it is only found in strings.
    data = json.dumps({"runs": record["runs"], "jobs": record["jobs"], "states": STATES, "signs": SIGNS})
    now = datetime.now(UTC)
    return environment.get_template("plan.html.jinja").render(
        plan=plan,
        title=record["title"],
        experiments=plan["experiments"],
        environments=_environments(plan),
        states=list(zip(STATES, _CLASSES, SIGNS, strict=True)),
        policy=_policy(script),
        style=Markup(_template("plan.css")),
        script=Markup(script),
        data=Markup(data.replace("<", "\\u003c")),
        made=now.strftime("%Y-%m-%d %H:%M UTC"),
        made_machine=now.isoformat(timespec="seconds"),
        hours=_hours,
        size=_size,
    )


def _environments(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Group the experiments by their environment, in the order in which they are named."""
    grouped: dict[str | None, list[Any]] = {}
    for experiment in plan["experiments"]:
        grouped.setdefault(experiment["environment"], []).append(experiment)
    return [
        {"name": name, "there": plan["environments"].get(name, True), "experiments": experiments}
        for name, experiments in grouped.items()
    ]


def _template(name: str) -> str:
    return (resources.files("runferry.plan") / "templates" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{digest}'"
    return f"default-src 'none'; {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


def _hours(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _size(value: int) -> str:
    return f"{value / 1e9:,.1f} GB" if value >= 1e9 else f"{value / 1e6:,.1f} MB"
