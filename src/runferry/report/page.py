"""Render the page of a report: one HTML file with its styles, scripts and data inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.report import html
from runferry.report.advice import advise
from runferry.report.colours import Colours, choose_colours, shared_start, text_of, unique_names
from runferry.report.importance import LEAST_RUNS
from runferry.report.media import LARGEST_IMAGE, LARGEST_TOTAL, MOST_IMAGES, shown_media
from runferry.report.page_data import WAYS, outcome_names, page_data, rated_outcomes, system_names
from runferry.report.progress import search_words, unit_of
from runferry.report.summary import convergence, failures, names_of, pareto_front, ranking
from runferry.report.table import number_cells, parameter_cells, table_rows
from runferry.report.timeline import Timeline, timeline

if TYPE_CHECKING:
    from datetime import datetime

    from runferry.config.cluster import Cluster
    from runferry.report.model import ExperimentReport
    from runferry.report.use import Use

_PACKAGE = "runferry.report"
_STATES = ("finished", "running", "failed", "not started")
_SCRIPTS = (
    "state.js",
    "scale.js",
    "groups.js",
    "chart.js",
    "coordinates.js",
    "best.js",
    "progress.js",
    "table.js",
    "page.js",
)
_LIBRARY = "uplot/uPlot.iife.min.js"


def render(report: ExperimentReport, use: Use | None = None, cluster: Cluster | None = None) -> str:
    """Return the page of a report as HTML.

    All text of the user's (names, parameters, messages) is escaped where it stands; besides, the page's own policy
    lets no script run but the one in it, and asks nothing of the network.

    Parameters
    ----------
    use
        What the finished runs used; None where that is not known.
    cluster
        Where the next runs would train; None where that is not known.
    """
    from markupsafe import Markup

    colours = choose_colours(report)
    names = unique_names(report.runs)
    script = _script()
    laid_out = timeline(report, names)
    outcomes = rated_outcomes(report)
    style = _style(colours, laid_out, outcomes)
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
            policy=html.policy(script, style),
            style=Markup(style),
            script=Markup(script),
            data=html.data(page_data(report, colours)),
            **_answers(report, names, colours),
            search=search_words(report, names),
            unit=unit_of(report),
            advice=advise(report.name, use, cluster),
            outcomes=outcomes,
            least_runs=LEAST_RUNS,
            percent=share_in_percent,
            systems=system_names(report),
            timeline=laid_out,
            states=[state for state in _STATES if any(run.state == state for run in report.runs)],
            legend=_legend(colours),
            legend_title=colours.by,
            rows=table_rows(report, colours),
            start=shared_start(names),
            parameters=[(name, parameter_cells(report.runs, name)[0].number) for name in report.differing],
            shared=[(name, text_of(report.shared, name)) for name in report.shared],
            notes=[(i, name, run) for i, (name, run) in enumerate(zip(names, report.runs, strict=True)) if run.notes],
            media=_media(report, names),
            bounds=(LARGEST_IMAGE // 1024, MOST_IMAGES, LARGEST_TOTAL // 2**20),
        )
    )


def _script() -> str:
    own = "".join(html.template(_PACKAGE, name) for name in _SCRIPTS)
    licence = html.template(_PACKAGE, "uplot/LICENSE").strip()
    return f"/* uPlot:\n{licence}\n*/\n{html.template(_PACKAGE, _LIBRARY).strip()}\n{own}"


def _style(colours: Colours, laid_out: Timeline, outcomes: list[dict[str, Any]]) -> str:
    """Return all styles of the page: its files', the colours of the runs, and a class for the width of each bar."""
    palettes = [
        "\n".join(f"  --run-{i}: {colour};" for i, colour in enumerate(colours.palette(dark=dark)))
        for dark in (False, True)
    ]
    bars = [bar for row in laid_out.rows for bar in row["bars"]]
    shares = [share_in_percent(rating.share) for outcome in outcomes for rating in outcome["ratings"]]
    return "\n".join(
        [
            html.template(_PACKAGE, "uplot/uPlot.min.css"),
            f":root {{\n{palettes[0]}\n}}",
            f"@media screen and (prefers-color-scheme: dark) {{ :root {{\n{palettes[1]}\n}} }}",
            *(f".colour-{i} {{ --colour: var(--run-{i}); }}" for i in range(len(colours.labels))),
            html.style(_PACKAGE, "report.css"),
            html.rules("left", (bar["left"] for bar in bars), "%"),
            html.rules("width", [*(bar["width"] for bar in bars), *shares], "%"),
        ]
    )


def share_in_percent(share: float) -> float:
    """Return a share as the width of its bar has it."""
    return round(100 * share, 1)


def _answers(report: ExperimentReport, names: list[str], colours: Colours) -> dict[str, Any]:
    """Return what the first screen says: the best run, convergence, failures, and the front of two goals."""
    goal = report.goals[0] if report.goals else None
    ranked = ranking(report, goal) if goal else []
    best = None
    if goal and ranked:
        first = ranked[0]
        values = [report.runs[first.number].final.get(goal.metric)]
        value, last = number_cells([first.value, *values])
        best = {
            "number": first.number,
            "run": report.runs[first.number],
            "name": names[first.number],
            "colour": colours.of_run[first.number],
            "value": value.text,
            "full": repr(first.value),
            "step": first.step,
            "last": last.text,
            "parameters": [(name, text_of(report.runs[first.number].given, name)) for name in report.differing],
        }
    front = pareto_front(report, report.goals) if len(report.goals) > 1 else []
    columns = [number_cells([point[i] for point in front]) for i in (1, 2)]
    choices = [
        {"text": f"{way} {metric}", "metric": metric, "way": way, "chosen": _chosen(report, metric, way)}
        for metric in outcome_names(report)
        for way in WAYS
    ]
    return {
        "goal": goal,
        "choices": choices,
        "first_choice": next((place for place, choice in enumerate(choices) if choice["chosen"]), 0),
        "best": best,
        "convergence": [(said, *names_of(said.runs, names)) for said in (convergence(report, goal) if goal else [])],
        "failures": [(failure, *names_of(failure.runs, names)) for failure in failures(report.runs)],
        "front": [(point[0], names[point[0]], a.text, b.text) for point, a, b in zip(front, *columns, strict=True)],
    }


def _chosen(report: ExperimentReport, metric: str, way: str) -> bool:
    return any(goal.metric == metric and WAYS[goal.maximize] == way for goal in report.goals[:1])


def _media(report: ExperimentReport, names: list[str]) -> list[dict[str, Any]]:
    """Return the runs that logged media, the best first: their images are embedded while there is room."""
    order = [each.number for goal in report.goals[:1] for each in ranking(report, goal)]
    order += [number for number in range(len(report.runs)) if number not in set(order)]
    shown = shown_media([(number, report.runs[number].media) for number in order], report.folder)
    grouped: dict[int, list[Any]] = {}
    for each in shown:
        grouped.setdefault(each.run, []).append(each)
    return [{"number": number, "name": names[number], "items": items} for number, items in grouped.items()]


def _place(report: ExperimentReport) -> str:
    """Name the W&B project of the runs, with its entity where that is given."""
    for run in report.runs:
        if run.project:
            return f"{run.entity}/{run.project}" if run.entity else run.project
    return ""


def _counts(report: ExperimentReport) -> str:
    states = [run.state for run in report.own]
    total = "1 run" if len(states) == 1 else f"{len(states)} runs"
    parts = [f"{states.count(state)} {state}" for state in _STATES if state in states]
    return f"{total}: {', '.join(parts)}"


def _receipts(report: ExperimentReport) -> str:
    count = sum(run.verified is not None and not run.receipt_is_old for run in report.own)
    if count == len(report.own):
        return "the server holds every record"
    return f"receipts for {count} of {len(report.own)}" if count else "no receipt yet"


def _legend(colours: Colours) -> list[dict[str, Any]]:
    if len(colours.labels) < 2:
        return []
    return [
        {"label": label, "colour": i, "runs": [n for n, colour in enumerate(colours.of_run) if colour == i]}
        for i, label in enumerate(colours.labels)
    ]


def _moment(time: datetime) -> str:
    return f"{time.day} {time:%B %Y, %H:%M} UTC"
