"""The learning curves as Vega-Lite specifications, made with Altair.

Altair is imported where it is needed: its import costs about as much as reading the runs.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from runferry.report.colours import choose_colours, unique_names

if TYPE_CHECKING:
    from runferry.report.data import ExperimentReport

_AXES = {"domain": False, "ticks": False, "labelFontSize": 11, "titleFontSize": 11}


def page_chart(palette: list[str]) -> dict[str, Any]:
    """Make the chart of one metric for the page: it fills its frame, and has neither data nor legend.

    The page sets the data `curves`, rows of `run` (its name, by which a line is found again: it becomes the line's
    label), `colour` (a number), `step`, `value` and `alone` (1 for a point with no neighbour to draw a line to).
    The first layer holds the lines, the second the points. `palette` may hold CSS variables, so that the page's own
    colours are used.
    """
    import altair as alt

    base = alt.Chart(alt.NamedData("curves")).encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(tickCount=5, grid=False, format="~s")),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5, minExtent=28)),
        detail="run:N",
        description="run:N",
        color=alt.Color("colour:N", legend=None, scale=alt.Scale(domain=list(range(len(palette))), range=palette)),
    )
    lines = base.mark_line(strokeWidth=1.6, strokeJoin="round", invalid="break-paths-show-domains")
    points = base.mark_point(filled=True, size=36).transform_filter("datum.alone == 1")
    chart = alt.layer(lines, points).properties(width="container", height=200)
    config = {
        "autosize": {"type": "fit", "contains": "padding", "resize": True},
        "background": "transparent",
        "padding": 0,
        "font": "inherit",
        "view": {"stroke": None},
        "axis": {**_AXES, "labelPadding": 6, "titleFontWeight": "normal"},
    }
    return {**chart.to_dict(), "config": config}


def curves_chart(report: ExperimentReport) -> dict[str, Any]:
    """Make one chart of all metrics that stands alone: with its data, a legend and tooltips.

    A colour's entry in the legend picks its curves out.
    """
    import altair as alt

    if not report.metrics:
        nothing = alt.Chart(alt.Data(values=[{"text": "No numeric metric has been logged."}]))
        return nothing.mark_text(fontSize=13).encode(text="text:N").properties(width=400).to_dict()
    colours = choose_colours(report)
    picked = alt.selection_point(name="picked", fields=["colour"], bind="legend")
    rows = _rows(report, [colours.labels[i] for i in colours.of_run])
    charts: list[Any] = []
    for metric in report.metrics:
        base = alt.Chart(alt.Data(values=rows[metric])).encode(
            x=alt.X("step:Q", axis=alt.Axis(tickCount=5, grid=False)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
            detail="run:N",
            color=alt.Color(
                "colour:N",
                title=colours.by or "run",
                scale=alt.Scale(domain=colours.labels, range=colours.palette()),
                legend=alt.Legend(orient="top", columns=4, labelLimit=300, symbolType="stroke"),
            ),
            opacity=alt.condition(picked, alt.value(1), alt.value(0.12)),
        )
        tooltip = [
            alt.Tooltip("run:N"),
            alt.Tooltip("step:Q"),
            alt.Tooltip("value:Q", title=_field_title(metric), format=".5~g"),
        ]
        # Circles that only the pointer finds, where a line passes; a value that stands alone is seen.
        points = base.mark_point(filled=True, size=60).encode(
            opacity=alt.condition("datum.alone", alt.value(1), alt.value(0)), tooltip=tooltip
        )
        lines = base.mark_line(strokeWidth=1.6, invalid="break-paths-show-domains")
        charts.append(alt.layer(lines, points).properties(width=360, height=200, title=metric))
    config = {"view": {"stroke": None}, "axis": _AXES, "title": {"anchor": "start"}}
    with warnings.catch_warnings():
        # Altair 6 warns that the charts share their selection, which is what is wanted.
        warnings.filterwarnings("ignore", message="Automatically deduplicated selection parameter")
        page = alt.concat(*charts, columns=2).add_params(picked)
    return {**page.to_dict(), "config": config}


def stands_alone(values: list[float | None]) -> list[bool]:
    """Tell for each value whether it has no neighbour that a line could be drawn to."""
    padded = [None, *values, None]
    return [value is not None and padded[i] is None and padded[i + 2] is None for i, value in enumerate(values)]


def _rows(report: ExperimentReport, labels: list[str]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {metric: [] for metric in report.metrics}
    for run, name, label in zip(report.runs, unique_names(report.runs), labels, strict=True):
        for metric, curve in run.curves.items():
            alone = stands_alone(curve.values)
            rows[metric] += [
                {"run": name, "colour": label, "step": step, "value": value, "alone": single}
                for step, value, single in zip(curve.steps, curve.values, alone, strict=True)
            ]
    return rows


def _field_title(metric: str) -> str:
    # Vega-Lite takes an empty title for none at all.
    return metric or "value"
