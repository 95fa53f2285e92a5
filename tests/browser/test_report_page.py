from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from runferry.report import build_report
from sample_experiment import segment, write_attempt, write_receipt, write_run, write_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

EVIL = """</script><img src=x onerror="hacked=1"><script>hacked = 1</script>"'"""
Open = Callable[..., "OpenPage"] if TYPE_CHECKING else Any


class OpenPage:
    """A page in the browser, with all that it said and asked for."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}).new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_function("[...document.querySelectorAll('.plot')].every(p => p.querySelector('svg'))")

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def raised(self) -> list[str]:
        """The runs whose curves stand out, as in the first chart."""
        marks = self.page.locator(".plot").first.locator("path.raised")
        return [mark.get_attribute("aria-label") for mark in marks.all()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # Without its own sandbox it also starts as root, as in a container; the pages are our own.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def make(folder: Path, names: list[str]) -> Path:
    """Build a report of as many runs, of which the first failed and the last has not started."""
    segments: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        run = folder / f"run{number:02}"
        write_run(run, name, {"rate": (number + 1) / 10, "depth": number % 3, "words": EVIL})
        if number == len(names) - 1:
            continue
        rows: list[dict[str, Any]] = [
            {"loss": 2 / (i + 1 + number), "accuracy": i**0.5 * (number + 1)} for i in range(30)
        ]
        rows[-1]["only/last"] = number
        segments.append(segment(run, name, rows, config={"seed": number}))
    write_segments(segments)
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


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    opened: list[OpenPage] = []

    def open_it(file: Path, **context: Any) -> OpenPage:
        opened.append(OpenPage(browser, file, **context))
        return opened[-1]

    yield open_it
    for page in opened:
        page.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_curves_are_drawn_without_a_word_and_without_the_network(open_page: Open, few: Path, scheme: str) -> None:
    page = open_page(few, color_scheme=scheme)
    assert page.said == []
    assert set(page.asked) <= {few.as_uri(), "data:,"}
    for chart in range(2):
        plot = f".plot[data-chart='{chart}']"
        lines = page.page.locator(f"{plot} .mark-line path").all()
        assert [line.get_attribute("aria-label") for line in lines] == [f"rate={i}" for i in range(1, 6)]
        assert all(line.bounding_box()["width"] > 200 for line in lines)
        colours = {line.evaluate("mark => getComputedStyle(mark).stroke") for line in lines}
        assert len(colours) == 5
    # A metric that was logged once is a point for each run.
    assert page.count(".plot[data-chart='2'] .mark-symbol path") == 5


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
            least(".plot svg text", "fill"),
            least(".plot .mark-line path", "stroke"),
        ];
    }"""
    background, text, labels, lines = page.page.evaluate(script)
    assert background > 0.9 if scheme == "light" else background < 0.05
    # The contrasts that WCAG 2.2 asks of text and of graphics.
    assert text >= 4.5
    assert labels >= 4.5
    assert lines >= 3


@pytest.mark.parametrize("width", [1280, 800, 400])
def test_the_page_fits_its_window(open_page: Open, many: Path, width: int) -> None:
    page = open_page(many, viewport={"width": width, "height": 900})
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width
    for plot in page.page.locator(".plot svg").all():
        box = plot.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_pointing_at_a_curve_names_its_run_and_value(open_page: Open, few: Path) -> None:
    page = open_page(few)
    line = page.page.locator(".plot[data-chart='0'] path[aria-label='rate=5']").bounding_box()
    # The right end of the highest line: step 29, where it is 5 times the root of 29.
    page.page.mouse.move(line["x"] + line["width"], line["y"])
    assert page.page.locator("#tip").inner_text().split("\n") == ["rate=5", "step 29: 26.9258"]
    assert page.raised() == ["rate=5"]
    page.page.mouse.move(2, 2)
    assert page.page.locator("#tip").is_hidden()
    assert page.raised() == []


def test_pressing_a_run_in_the_table_or_legend_raises_its_curves(open_page: Open, few: Path) -> None:
    page = open_page(few)
    page.page.locator("tbody .key", has_text="rate=2").click()
    page.page.mouse.move(2, 2)
    assert page.raised() == ["rate=2"]
    page.page.locator(".legend .key", has_text="rate=4").click()
    assert page.raised() == ["rate=2", "rate=4"]
    pressed = page.page.locator(".key[aria-pressed='true']").all_inner_texts()
    assert sorted(text.strip() for text in pressed) == ["rate=2", "rate=2", "rate=4", "rate=4"]
    page.page.get_by_role("button", name="Show all").click()
    assert page.raised() == []


def test_of_many_runs_a_colour_is_a_class_of_a_parameter(open_page: Open, many: Path) -> None:
    page = open_page(many)
    assert page.said == []
    assert page.count(".plot[data-chart='0'] .mark-line path") == 49
    assert page.page.locator(".legend-title").inner_text() == "rate"
    assert page.count(".legend .key") == 8
    page.page.locator(".legend .key").first.click()
    page.page.mouse.move(2, 2)
    assert page.raised() == [f"run {i:02}" for i in range(6)]


def test_the_table_is_sorted_by_any_column(open_page: Open, few: Path) -> None:
    page = open_page(few)

    def runs_by(column: str) -> list[str]:
        page.page.locator("thead").get_by_role("button", name=column).click()
        return [text.strip()[-1] for text in page.page.locator("tbody .key").all_inner_texts()]

    assert runs_by("loss") == ["5", "4", "3", "2", "1", "6"]
    assert page.count("th[aria-sort='ascending']") == 1
    # What has no value stays last.
    assert runs_by("loss") == ["1", "2", "3", "4", "5", "6"]
    assert page.count("th[aria-sort='descending']") == 1
    assert runs_by("Run") == ["1", "2", "3", "4", "5", "6"]
    assert runs_by("State")[0] == "1"


def test_the_page_prints_dark_on_white_with_its_curves(open_page: Open, few: Path) -> None:
    page = open_page(few, color_scheme="dark")
    page.page.emulate_media(media="print")
    assert page.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.page.pdf(format="A4").startswith(b"%PDF")


def test_the_page_is_read_without_scripts_too(browser: Any, few: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(few.as_uri())
    assert page.get_by_role("row").count() == 2 + 6
    assert page.get_by_role("rowheader").count() == 6
    context.close()


def test_no_text_of_the_users_is_run(open_page: Open, tmp_path: Path) -> None:
    page = open_page(make(tmp_path / "digits", [f"{EVIL} {i}" for i in range(3)]))
    assert page.page.evaluate("typeof hacked") == "undefined"
    assert page.said == []
    assert page.count("img") == 0
    assert page.page.locator("tbody .key").first.inner_text() == f"{EVIL} 0"
    line = page.page.locator(".plot[data-chart='0'] .mark-line path").last.bounding_box()
    page.page.mouse.move(line["x"] + line["width"], line["y"])
    assert page.page.locator("#tip strong").inner_text() == f"{EVIL} 1"
    assert page.page.evaluate("typeof hacked") == "undefined"


def test_a_script_that_slipped_in_would_not_run(open_page: Open, few: Path, tmp_path: Path) -> None:
    spoiled = tmp_path / "report.html"
    inserted = "<script>hacked = 1</script><img src=x onerror='hacked = 1'></main>"
    spoiled.write_text(few.read_text(encoding="utf-8").replace("</main>", inserted), encoding="utf-8")
    page = open_page(spoiled)
    assert page.page.evaluate("typeof hacked") == "undefined"
    assert page.said
