from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runferry.report.build import build_report
from support.drawing import becomes, wait_until_drawn
from support.large_sweep import write_sweep
from support.open_page import Open
from support.report_pages import no_slurm  # noqa: F401 - a fixture
from support.sample_experiment import write_attempt, write_log_of, write_receipt, write_run

if TYPE_CHECKING:
    from pathlib import Path

EVIL = """</script><img src=x onerror="hacked=1"><script>hacked = 1</script>"'"""


def make(folder: Path, names: list[str]) -> Path:
    """Build a report of as many runs, of which the first failed and the last has not started."""
    for number, name in enumerate(names):
        run = folder / f"run{number:02}"
        write_run(run, name, {"rate": (number + 1) / 10, "depth": number % 3, "words": EVIL})
        if number == len(names) - 1:
            continue
        rows: list[dict[str, Any]] = [
            {"loss": 2 / (i + 1 + number), "accuracy": i**0.5 * (number + 1)} for i in range(30)
        ]
        rows[-1]["only/last"] = number
        write_log_of(run, rows, apart=2.0)
    for number, run in enumerate(sorted(folder.iterdir())[:-1]):
        write_attempt(run, 1, "finished" if number else "failed", message=None if number else EVIL)
        if number:
            write_receipt(run)
    return build_report(folder)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("few") / "digits", [f"rate={i}" for i in range(1, 7)])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("many") / "digits", [f"run {i:02}" for i in range(50)])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_curves_are_drawn_without_a_word_and_without_the_network(open_page: Open, few: Path, scheme: str) -> None:
    page = open_page(few, color_scheme=scheme)
    assert page.said == []
    assert set(page.asked) <= {few.as_uri(), "data:,"}
    # Five runs have logged; each has its colour. The third metric was logged once: a dot for each run.
    assert [page.colours(chart) for chart in range(3)] == [5, 5, 5]
    spread = "charts[0].drawn.map(({ xs }) => charts[0].across(xs.at(-1)) - charts[0].across(xs[0]))"
    assert min(page.page.evaluate(spread)) > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_curves_stand_out_from_the_page(open_page: Open, few: Path, scheme: str) -> None:
    page = open_page(few, color_scheme=scheme)
    script = """() => {
        const luminance = (colour) => {
            const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
                const c = part / 255;
                return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
        };
        const toRgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(" ");
        const page = luminance(getComputedStyle(document.body).backgroundColor);
        const contrast = (colour) => {
            const [dark, light] = [luminance(colour), page].sort((a, b) => a - b);
            return (light + 0.05) / (dark + 0.05);
        };
        const least = (selector, property) => Math.min(...[...document.querySelectorAll(selector)]
            .map((element) => contrast(getComputedStyle(element)[property])));
        return [
            page,
            least("h1, h2, p, th, td, a, dt, dd, caption, .under, .state, .key", "color"),
            contrast(toRgb(colours().ink)),
            Math.min(...[...colours().runs, ...colours().ramp].map((colour) => contrast(toRgb(colour)))),
        ];
    }"""
    background, text, labels, lines = page.page.evaluate(script)
    assert background > 0.9 if scheme == "light" else background < 0.05
    # The contrasts that WCAG 2.2 asks of text and of graphics.
    assert text >= 4.5
    assert labels >= 4.5
    # Steps of a ramp go from dark to light: the one next to the page has less.
    assert lines >= 2.5


@pytest.mark.parametrize("width", [1280, 800, 400])
def test_the_page_fits_its_window(open_page: Open, many: Path, width: int) -> None:
    page = open_page(many, viewport={"width": width, "height": 900})
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    for plot in page.page.locator(".charts .plot canvas").all():
        box = plot.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_pointing_at_a_curve_names_its_run_and_value(open_page: Open, few: Path) -> None:
    page = open_page(few)
    # The right end of the highest line: step 29, where it is 5 times the root of 29.
    page.point_at(0, 4, -1)
    becomes(["rate=5", "step 29: 26.9258"], lambda: page.page.locator("#tip").inner_text().split("\n"))
    becomes(["rate=5"], page.raised)
    page.page.mouse.move(2, 2)
    page.page.locator("#tip").wait_for(state="hidden")
    becomes([], page.raised)


def test_pressing_a_run_in_the_table_or_legend_raises_its_curves(open_page: Open, few: Path) -> None:
    page = open_page(few)
    page.page.locator("#runs-table tbody .key", has_text="rate=2").click()
    page.page.mouse.move(2, 2)
    becomes(["rate=2"], page.raised)
    page.page.locator(".legend .key", has_text="rate=4").click()
    becomes(["rate=2", "rate=4"], page.raised)
    pressed = page.page.locator(":is(.legend.of-runs, #runs-table) .key[aria-pressed='true']")
    both = ["rate=2", "rate=2", "rate=4", "rate=4"]
    becomes(both, lambda: sorted(text.strip() for text in pressed.all_inner_texts()))
    page.page.get_by_role("button", name="Show all").click()
    becomes([], page.raised)


def test_of_many_runs_a_colour_is_a_class_of_a_parameter(open_page: Open, many: Path) -> None:
    page = open_page(many)
    assert page.said == []
    assert page.page.evaluate("charts[0].drawn.length") == 49
    assert page.colours(0) == 8
    assert page.page.locator(".legend-title").inner_text() == "rate"
    assert page.count(".legend.of-runs .key") == 8
    page.page.locator(".legend .key").first.click()
    page.page.mouse.move(2, 2)
    becomes([f"run {i:02}" for i in range(6)], page.raised)


def test_the_table_is_sorted_by_any_column(open_page: Open, few: Path) -> None:
    page = open_page(few)

    def sort_by(column: str) -> None:
        page.page.locator("#runs-table thead").get_by_role("button", name=column).click()

    def runs() -> list[str]:
        return [text.strip()[-1] for text in page.page.locator("#runs-table tbody .key").all_inner_texts()]

    sort_by("loss")
    becomes(["5", "4", "3", "2", "1", "6"], runs)
    becomes(1, lambda: page.count("th[aria-sort='ascending']"))
    # What has no value stays last.
    sort_by("loss")
    becomes(["1", "2", "3", "4", "5", "6"], runs)
    becomes(1, lambda: page.count("th[aria-sort='descending']"))
    sort_by("Run")
    becomes(["1", "2", "3", "4", "5", "6"], runs)
    sort_by("State")
    becomes("1", lambda: runs()[0])


def test_the_page_prints_dark_on_white_with_its_curves(open_page: Open, few: Path) -> None:
    page = open_page(few, color_scheme="dark")
    page.page.emulate_media(media="print")
    becomes("rgb(255, 255, 255)", lambda: page.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    becomes("#ffffff", lambda: page.page.evaluate("colours().page"))
    # Also those that were never scrolled to.
    becomes(True, lambda: page.page.evaluate("charts.every((chart) => !chart.dirty)"))
    becomes(5, lambda: page.colours(1))
    assert page.page.pdf(format="A4").startswith(b"%PDF")


def test_the_page_is_read_without_scripts_too(browser: Any, few: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(few.as_uri())
    table = page.locator("#runs-table")
    assert table.get_by_role("row").count() == 2 + 6
    assert table.get_by_role("rowheader").count() == 6
    attempts = page.get_by_role("region", name="When each run trained")
    assert attempts.get_by_role("row").count() == 1 + 5
    context.close()


def test_no_text_of_the_users_is_run(open_page: Open, tmp_path: Path) -> None:
    page = open_page(make(tmp_path / "digits", [f"{EVIL} {i}" for i in range(3)]))
    assert page.page.evaluate("typeof hacked") == "undefined"
    assert page.said == []
    assert page.count("img") == 0
    # The best of the two that have logged comes first.
    assert page.page.locator("#runs-table tbody .key").first.inner_text() == f"{EVIL} 1"
    assert page.page.locator("#best-run .name").inner_text() == f"{EVIL} 1"
    page.point_at(0, 1, -1)
    becomes(f"{EVIL} 1", lambda: page.page.locator("#tip strong").inner_text())
    assert page.page.evaluate("typeof hacked") == "undefined"


def test_a_script_or_style_that_slipped_in_would_do_nothing(open_page: Open, few: Path, tmp_path: Path) -> None:
    spoiled = tmp_path / "report.html"
    inserted = "<script>hacked = 1</script><img src=x onerror='hacked = 1'></main>"
    inserted = "<style>h1 { opacity: 0.125 }</style><p id='slipped' style='opacity: 0.125'>x</p>" + inserted
    spoiled.write_text(few.read_text(encoding="utf-8").replace("</main>", inserted), encoding="utf-8")
    page = open_page(spoiled)
    assert page.page.evaluate("typeof hacked") == "undefined"
    opacity = "[...document.querySelectorAll('h1, #slipped')].map((each) => getComputedStyle(each).opacity)"
    assert page.page.evaluate(opacity) == ["1", "1"]
    # Two scripts, two styles and an image were refused; those of the page itself hold.
    assert len([text for text in page.said if "Content Security Policy" in text]) == 5
    assert page.colours(0) == 5


def test_the_switches_change_what_is_drawn(open_page: Open, few: Path) -> None:
    page = open_page(few)
    ends = "[charts[1].drawn[0].xs.at(-1), charts[1].drawn[0].ys.at(-1)]"
    assert page.page.evaluate(ends) == [29, pytest.approx(2 / 30, rel=1e-5)]
    page.page.locator("#smoothing").fill("0.9")
    # It lies behind a falling curve.
    becomes(True, lambda: page.page.evaluate(ends)[1] > 2 / 30)
    page.page.locator("#axis").select_option("time")
    becomes(True, lambda: page.page.evaluate("charts[1].time"))
    # Seconds.
    becomes(58, lambda: page.page.evaluate(ends)[0])
    middle = "charts[1].up(1) - (charts[1].up(2) + charts[1].up(0.5)) / 2"
    assert abs(page.page.evaluate(middle)) > 1
    page.page.locator("#log").check()
    becomes(True, lambda: abs(page.page.evaluate(middle)) < 1e-6)
    page.page.locator("#metric").select_option("loss")
    becomes(1, lambda: page.count(".charts.metrics figure:visible"))
    becomes(True, lambda: page.page.locator(".charts.metrics .plot:visible").bounding_box()["height"] > 400)
    assert page.said == []


def test_a_run_is_picked_by_its_curve_and_by_its_row(open_page: Open, few: Path) -> None:
    page = open_page(few)
    page.point_at(0, 3, -1)
    page.page.mouse.down()
    page.page.mouse.up()
    page.page.mouse.move(2, 2)
    becomes(["rate=4"], page.raised)
    becomes(1, lambda: page.colours(0, "top"))
    page.page.locator("#runs-table tbody tr", has_text="rate=2").locator("td").first.click()
    page.page.mouse.move(2, 2)
    becomes(["rate=2", "rate=4"], page.raised)
    page.page.keyboard.press("Escape")
    becomes([], page.raised)


def test_filters_leave_rows_and_curves_of_the_runs_that_fit(open_page: Open, many: Path) -> None:
    page = open_page(many)

    def shown() -> tuple[int, int]:
        return page.page.locator("#runs-table tbody tr:visible").count(), page.page.evaluate("charts[0].drawn.length")

    page.page.locator("#words").fill("run1")
    becomes((10, 10), shown)
    becomes("10 of 50 runs shown", lambda: page.page.locator("#shown").inner_text())
    page.page.locator("#words").fill("no run has these words")
    becomes((0, 0), shown)
    page.page.locator("#words").fill("")
    page.page.locator("#kind").select_option("failed")
    becomes((1, 1), shown)
    page.page.get_by_role("button", name="Show all runs").click()
    becomes((50, 49), shown)
    assert page.said == []


def test_dragging_along_an_axis_keeps_the_runs_that_pass_there(open_page: Open, many: Path) -> None:
    page = open_page(many)
    page.page.locator("#coordinates").scroll_into_view_if_needed()
    box = page.page.locator("#coordinates").bounding_box()
    axis = "parallel.axes.find(({ name }) => name === 'rate')"
    x, top, middle = page.page.evaluate(f"(({{ x, scale }}) => [x, scale(5) - 2, scale(4.05)])({axis})")
    page.page.mouse.move(box["x"] + x, box["y"] + top)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + x, box["y"] + middle, steps=3)
    page.page.mouse.up()
    # 4.1 to 5.0, of which the last has not started but has its parameters.
    becomes(10, lambda: page.count("#runs-table tbody tr:visible"))
    page.page.mouse.click(box["x"] + x, box["y"] + middle)
    becomes(50, lambda: page.count("#runs-table tbody tr:visible"))
    page.page.locator("#outcome").select_option("loss")
    of_loss = "How much of the differences in loss"
    becomes(of_loss, lambda: page.page.locator(".importance:visible caption").inner_text()[: len(of_loss)])
    assert page.said == []


@pytest.mark.slow
def test_a_thousand_runs_scroll_and_answer(open_page: Open, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    write_sweep(folder, 1000, 60)
    page = open_page(build_report(folder))
    assert page.said == []
    rows = page.page.locator("#runs-table tbody tr")
    assert rows.count() == 1000
    # A hundred are laid out, more as they are scrolled to, all by a button; sorting goes over all of them.
    becomes(100, lambda: page.count("#runs-table tbody tr:visible"))
    page.page.evaluate("(({ parentNode }) => { parentNode.scrollTop = 1e6; })(document.getElementById('runs-table'))")
    becomes(True, lambda: 150 < page.count("#runs-table tbody tr:visible") < 500)
    ids = "rows.map(({ dataset }) => dataset.id).sort()"
    page.page.locator("#runs-table thead").get_by_role("button", name="Run").click()
    first = sorted(page.page.evaluate(ids))[:3]
    becomes(first, lambda: page.page.evaluate("[...table.rows].slice(0, 3).map(({ dataset }) => dataset.id)"))
    page.page.locator("#runs-table ~ .more-rows").press("Enter")
    becomes(1000, lambda: page.count("#runs-table tbody tr:visible"))
    rows.last.wait_for()
    page.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    wait_until_drawn(page.page)
    page.page.evaluate("scrollTo(0, 0)")
    becomes(True, lambda: page.page.evaluate("charts[0].near"))
    # The cost of pointing at a curve is that of one curve, not of a thousand: nothing but the top layer is drawn again.
    drawn = page.page.evaluate(
        """() => {
            let strokes = 0;
            for (const { prototype } of [CanvasRenderingContext2D, Path2D]) {
                prototype.lineTo = ((lineTo) => function (...to) {
                    strokes++;
                    return lineTo.apply(this, to);
                })(prototype.lineTo);
            }
            point(500);
            return strokes;
        }"""
    )
    assert 0 < drawn < 5000
    page.page.locator("#words").fill("adam")
    becomes(True, lambda: 300 < page.count("#runs-table tbody tr:not([hidden])") < 700)
