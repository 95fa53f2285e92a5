"""The page of a report: one HTML file with its styles, scripts and data inside."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from runferry.report.charts import page_chart, stands_alone
from runferry.report.colours import Colours, choose_colours, text_of, unique_names
from runferry.report.sampling import is_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runferry.report.data import ExperimentReport, RunReport

_NOTHING = "\N{EN DASH}"
_STATES = ("finished", "running", "failed", "not started")


@dataclass(frozen=True)
class Cell:
    """One cell of the table: what is shown, what it is sorted by, and which side it is set to."""

    text: str
    sort: str | float | None = None
    number: bool = False
    full: str = ""


def render(report: ExperimentReport) -> str:
    """Make the page.

    All text of the user's (names, parameters, messages) is escaped where it stands; besides, the page's own policy
    lets no script run but the two in it, and asks nothing of the network.
    """
    import jinja2
    from markupsafe import Markup

    colours = choose_colours(report)
    scripts = [_script(_vega()), _script(_template("report.js"))]
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.jinja").render(
        report=report,
        title=f"{report.name} \N{MIDDLE DOT} learning curves",
        place=_place(report),
        counts=_counts(report),
        receipts=_receipts(report),
        built=_moment(report.built),
        built_machine=report.built.isoformat(timespec="seconds"),
        policy=_policy(scripts),
        style=Markup(_template("report.css")),
        palette=list(zip(colours.palette(), colours.palette(dark=True), strict=True)),
        scripts=[Markup(script) for script in scripts],
        data=Markup(_data(report, colours)),
        legend=_legend(colours),
        legend_title=colours.by,
        rows=_rows(report, colours),
        parameters=[(name, _parameters(report.runs, name)[0].number) for name in report.differing],
        shared=[(name, text_of(report.shared, name)) for name in report.shared],
        notes=[(i, name, run) for i, (name, run) in enumerate(_named(report)) if run.notes],
    )


def _template(name: str) -> str:
    return (resources.files("runferry.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _vega() -> str:
    """Give Vega's scripts, 0.9 MB, of the Vega-Lite version that Altair writes for (0.7 s, once in a process)."""
    import vl_convert
    from altair import SCHEMA_VERSION

    # As in v6.4.1.
    version = ".".join(SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)


def _script(text: str) -> str:
    # In JavaScript these only occur in strings, regular expressions and comments, where the backslash changes nothing.
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(scripts: Sequence[str]) -> str:
    """Write the content security policy: these scripts by their hashes, and no address at all."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"


def _data(report: ExperimentReport, colours: Colours) -> str:
    charts: list[dict[str, Any]] = []
    for metric in report.metrics:
        series: list[dict[str, Any]] = []
        for number, run in enumerate(report.runs):
            if curve := run.curves.get(metric):
                alone = [i for i, single in enumerate(stands_alone(curve.values)) if single]
                series.append({"run": number, "steps": curve.steps, "values": curve.values, "alone": alone})
        charts.append({"metric": metric, "series": series})
    data = {
        "spec": page_chart([f"var(--run-{i})" for i in range(len(colours.labels))]),
        "runs": unique_names(report.runs),
        "colours": colours.of_run,
        "charts": charts,
    }
    # Inside a script element only "<" could end it; in JSON it is only found in strings.
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _named(report: ExperimentReport) -> list[tuple[str, RunReport]]:
    return list(zip(unique_names(report.runs), report.runs, strict=True))


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
            "duration": Cell(_duration(run.seconds), run.seconds, number=True),
            "verified": f"{_day(run.verified)}, {run.verified:%H:%M}" if run.verified else "",
        }
        for number, (name, run) in enumerate(_named(report))
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
            cells.append(Cell(_NOTHING, number=True))
        elif not math.isfinite(value):
            cells.append(Cell("NaN" if math.isnan(value) else "\u221e" if value > 0 else "\u2212\u221e", number=True))
        else:
            plain = value == 0 or (abs(value) >= 1e-4 and largest < 1e7)
            text = f"{value:.{decimals}f}" if plain else f"{value:.3g}"
            cells.append(Cell(text.replace("-", "\u2212"), value, number=True, full=repr(value)))
    return cells


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if not minutes and not hours:
        return f"{rest} s"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _moment(time: datetime) -> str:
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _day(time: datetime) -> str:
    return f"{time.day} {time:%b %Y}"
