from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runferry.runs.state import DONE, FAILED, RUNNING, UNSYNCED, WAITING
from runferry.workflow.plan import record
from runferry.workflow.plan.model import ExperimentPlan, Plan, PlannedJob
from runferry.workflow.plan.page import render
from runferry.workflow.plan.runs import PlannedRun
from support.drawing import becomes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = """</script><img src=x onerror="hacked=1"><script>hacked = 1</script>"'"""
COUNTS = {DONE: 600, UNSYNCED: 90, FAILED: 9, RUNNING: 21, WAITING: 280}


def job(runs: int) -> PlannedJob:
    return PlannedJob(runs, 1, 1, "a100", 12, 126976, 60 * runs, 4.0)


def experiment(name: str, states: list[str], per_job: int = 1) -> ExperimentPlan:
    runs: list[PlannedRun] = []
    jobs: list[PlannedJob] = []
    for number, state in enumerate(states):
        left = state not in {DONE, UNSYNCED}
        if left and sum(one.runs for one in jobs) <= sum(run.job is not None for run in runs):
            jobs.append(job(per_job))
        why = "out of memory" if state == FAILED else None
        runs.append(PlannedRun(f"run{number:09}", f"rate={number} {EVIL}", state, len(jobs) - 1 if left else None, why))
    return ExperimentPlan(name, "default", runs, jobs, 3)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    states = [state for state, count in COUNTS.items() for _ in range(count)]
    plan = Plan(
        "narval",
        "Narval",
        [experiment("digits", states, 5), experiment("ablation-of-a-long-name", [WAITING] * 4)],
        {"default": False},
        "offline",
        "no internet",
        1000,
        5_000_000,
        measured=True,
        job_cap=1000,
        refusals=["config: wandb.mode: found online, expected offline"],
    )
    folder = tmp_path_factory.mktemp("plan")
    record.write(folder / "plan.json", plan)
    (folder / "plan.html").write_text(render(json.loads((folder / "plan.json").read_text())))
    return folder / "plan.html"


@pytest.fixture
def open_page(browser: Any, page_file: Path) -> Iterator[Any]:
    contexts: list[Any] = []
    said: list[str] = []

    def open_it(**context: Any) -> Any:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(page_file.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    # No error, and nothing asked of the network.
    assert said == []


def test_the_states_are_counted_in_words_and_signs(open_page: Any) -> None:
    page = open_page()
    shown = page.locator(".experiment").first.locator(".state").all_inner_texts()
    assert [" ".join(text.split()) for text in shown] == [
        "\N{WHITE CIRCLE}280 to do",
        "\N{RIGHTWARDS ARROW}21 running",
        "\N{MULTIPLICATION SIGN}9 failed",
        "\N{UPWARDS ARROW}90 unsynced",
        "\N{CHECK MARK}600 done",
    ]
    assert page.locator(".jobs b").all_inner_texts() == ["62 jobs", "4 jobs"]
    assert page.locator(".sync b").all_inner_texts() == ["600 of 1,000", "0 of 4"]


def test_every_stage_is_joined_to_the_next(open_page: Any) -> None:
    page = open_page()
    becomes(8, page.locator(".edges path").count)
    assert all(path.bounding_box()["width"] > 10 for path in page.locator(".edges path").all())


def test_a_thousand_runs_fold_open_by_the_keyboard_without_freezing(open_page: Any) -> None:
    page = open_page()
    page.locator("summary").first.focus()
    milliseconds = page.evaluate("""() => new Promise((resolve) => {
        const details = document.querySelector(".runs");
        const begun = performance.now();
        details.addEventListener("toggle", () => requestAnimationFrame(() => resolve(performance.now() - begun)));
        document.activeElement.click();
    })""")
    # Two hundred rows at first; the limit is generous, for a busy machine.
    assert milliseconds < 2000
    becomes(200, page.locator(".runs tbody tr").count)
    page.keyboard.press("Enter")
    becomes(None, lambda: page.locator(".runs").first.get_attribute("open"))
    page.keyboard.press("Enter")
    page.locator(".list").first.evaluate("list => { list.scrollTop = list.scrollHeight; }")
    becomes(True, lambda: page.locator(".runs tbody tr").count() > 200)


def test_runs_are_found_by_state_and_by_name(open_page: Any) -> None:
    page = open_page()
    page.locator("summary").first.click()
    page.get_by_role("button", name="9 failed").click()
    rows = page.locator(".runs tbody tr")
    becomes(9, rows.count)
    becomes(True, lambda: "failed (out of memory)" in rows.first.inner_text())
    page.get_by_role("button", name="9 failed").click()
    page.get_by_role("searchbox").fill("run000000999")
    becomes(1, rows.count)
    becomes("1 of 1,000", page.locator(".runs [role=status]").inner_text)


def test_no_text_of_the_users_is_run(open_page: Any) -> None:
    page = open_page()
    page.locator("summary").first.click()
    assert page.locator(".runs tbody th").first.inner_text().startswith(f"rate=0 {EVIL}")
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("width", [1280, 900, 400])
def test_nothing_overlaps_and_the_page_fits_its_window(open_page: Any, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 900})
    page.locator("summary").first.click()
    page.locator(".runs tbody tr").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [node.bounding_box() for node in page.locator(".node, .list, .tools").all()]
    for number, a in enumerate(boxes):
        for b in boxes[number + 1 :]:
            apart_x = a["x"] + a["width"] <= b["x"] + 1 or b["x"] + b["width"] <= a["x"] + 1
            apart_y = a["y"] + a["height"] <= b["y"] + 1 or b["y"] + b["height"] <= a["y"] + 1
            assert apart_x or apart_y, (a, b)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page(open_page: Any, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.locator("summary").first.click()
    page.locator(".runs tbody tr").first.wait_for()
    least = page.evaluate("""() => {
        const luminance = (colour) => {
            const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
                const c = part / 255;
                return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = (element) => {
            const colour = getComputedStyle(element).backgroundColor;
            return colour === "rgba(0, 0, 0, 0)" && element.parentElement ? behind(element.parentElement) : colour;
        };
        const texts = "h1, h2, b, dt, dd, li, th, td, .quiet, .state, summary, button";
        return Math.min(...[...document.querySelectorAll(texts)].map((element) => {
                const [dark, light] = [luminance(getComputedStyle(element).color), luminance(behind(element))]
                    .sort((a, b) => a - b);
                return (light + 0.05) / (dark + 0.05);
            }));
    }""")
    # The contrast that WCAG 2.2 asks of text.
    assert least >= 4.5


def test_the_page_prints_dark_on_white(open_page: Any) -> None:
    page = open_page(color_scheme="dark")
    page.emulate_media(media="print")
    becomes("rgb(255, 255, 255)", lambda: page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert page.pdf(format="A4").startswith(b"%PDF")
