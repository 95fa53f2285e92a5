"""How a search went, as the report draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runferry.report.build import build_report
from support.drawing import becomes
from support.open_page import Open
from support.report_pages import no_slurm  # noqa: F401 - a fixture
from support.sample_experiment import write_attempt, write_log_of, write_run
from support.search_files import write_search

if TYPE_CHECKING:
    from pathlib import Path

EVIL = """</script><img src=x onerror="hacked=1"><style>* { display: none }</style>"'"""
LOSS = {"name": "loss", "goal": "minimize"}
SPEED = {"name": "speed", "goal": "maximize"}
STATES = ["finished", "failed", "finished", "pruned", "finished", "finished", None]
LOSSES = [0.5, 9.0, 0.25, 0.01, 0.75, 0.125, 0.3]
SPEEDS = [10.0, 99.0, 20.0, 99.0, 40.0, 5.0, 99.0]


def make(folder: Path, metrics: list[dict[str, str]]) -> Path:
    told: dict[str, Any] = {}
    for number, (state, loss, speed) in enumerate(zip(STATES, LOSSES, SPEEDS, strict=True)):
        run = folder / f"run{number}"
        write_run(run, f"{EVIL} {number}", {"rate": number}, gpus=2)
        # The best value of the curve is not the last one, which the engine is told.
        write_log_of(run, [{"loss": 0.001, "speed": 1.0}, {"loss": loss, "speed": speed}])
        if state is not None:
            write_attempt(run, 1, "failed" if state == "failed" else "finished", seconds=1800.0)
        told[run.name] = (state, {metric["name"]: {"loss": loss, "speed": speed}[metric["name"]] for metric in metrics})
    write_search(folder, metrics, told)
    return build_report(folder)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("one") / "digits", [LOSS])


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("two") / "digits", [LOSS, SPEED])


def line(page: Any, chart: str) -> list[list[float]]:
    """The points of the line through a chart's dots."""
    return page.evaluate(
        """(selector) => {
            const { xs, ys } = charts.find(({ plot }) => plot.matches(selector)).drawn.find(({ run }) => run === null);
            return xs.map((x, i) => [x, ys[i]]);
        }""",
        chart,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_best_so_far_is_drawn_against_points_and_gpu_hours(open_page: Open, one: Path, scheme: str) -> None:
    opened = open_page(one, color_scheme=scheme, viewport={"width": 390, "height": 844})
    page = opened.page
    assert opened.said == []
    section = page.get_by_role("region", name="How the search went")
    assert "7 points asked for: 4 finished, 1 pruned, 1 failed, 1 not ended." in section.inner_text()
    assert "The best, 0.1250, is point 6, after 6 GPU-hours." in section.inner_text()
    # What failed or was pruned has no value, and has used its hours: two GPUs for half an hour each.
    steps = [[1, 0.5], [3, 0.5], [3, 0.25], [5, 0.25], [6, 0.25], [6, 0.125]]
    assert line(page, "[data-against=points]") == steps
    assert line(page, "[data-against=GPU-hours]") == steps
    index = page.evaluate("charts.findIndex(({ plot }) => plot.dataset.search)")
    assert opened.colours(index) == 4
    # Who sees no chart has its sentence and its table, whose buttons the keyboard presses.
    plots = section.locator(".plot")
    assert plots.count() == 2
    assert all("point 6, after 6 GPU-hours" in (plot.get_attribute("aria-label") or "") for plot in plots.all())
    rows = section.locator("#search-table tbody tr")
    assert [" ".join(row.locator("td").all_inner_texts()) for row in rows.all()] == [
        *("1 0.5000 1", "3 0.2500 3", "6 0.1250 6"),
    ]
    rows.nth(1).locator("button").press("Enter")
    becomes([f"{EVIL} 2"], opened.raised)
    # A chart that was out of sight then shows it once it is seen.
    page.evaluate("scrollTo(0, 0)")
    becomes(False, lambda: page.evaluate(f"charts[{index}].near"))
    plots.first.scroll_into_view_if_needed()
    becomes(1, lambda: opened.colours(index, "top"))
    # The search's own place, and no other: the general one would say it again by other values.
    assert page.locator("[data-progress], [data-front]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("typeof hacked") == "undefined"
    page.emulate_media(media="print")
    becomes(4, lambda: opened.colours(index))
    assert page.evaluate("colours().page") == "#ffffff"


def test_two_goals_have_their_front(open_page: Open, two: Path) -> None:
    opened = open_page(two)
    page = opened.page
    assert opened.said == []
    section = page.get_by_role("region", name="How the search went")
    assert "3 of the 4 with values of all goals are on the Pareto front." in section.inner_text()
    assert section.locator(".plot").count() == 5
    assert line(page, "[data-search='1'][data-against=points]")[-1] == [6, 40]
    assert line(page, "[data-search-front]") == [[0.125, 5], [0.25, 20], [0.75, 40]]
    points = section.locator("#search-table tbody tr td:nth-child(2)").all_inner_texts()
    assert points == ["3", "5", "6"]
    # A dot is named by its point.
    index = page.evaluate("charts.findIndex(({ plot }) => 'searchFront' in plot.dataset)")
    opened.point_at(index, 2, 0)
    becomes(f"{EVIL} 2, point 3", lambda: page.locator("#tip strong").inner_text())


def test_a_search_without_a_value_says_so(open_page: Open, tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    write_run(folder / "a", "a", {})
    write_attempt(folder / "a", 1, "failed")
    write_search(folder, [LOSS], {"a": ("failed", {}), "gone": (None, {})})
    opened = open_page(build_report(folder))
    section = opened.page.get_by_role("region", name="How the search went").inner_text()
    assert "2 points asked for: 1 failed, 1 not ended. None of them has a value yet." in section
    assert opened.said == []
