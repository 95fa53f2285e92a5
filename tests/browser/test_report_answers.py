"""What the report answers on its first screen, and that odd data mislead nobody."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from runferry.report.build import build_report
from support.drawing import becomes, wait_until_drawn
from support.large_sweep import write_sweep
from support.open_page import Open
from support.report_pages import no_slurm  # noqa: F401 - a fixture
from support.sample_experiment import segment, write, write_attempt, write_log_of, write_run, write_segments
from support.small_png import PNG

if TYPE_CHECKING:
    from pathlib import Path

LONG = "a rather long name of a run that took three lines of the table before, number"
STEPS = 60


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve runs of two goals: of one step, diverged, NaN, without a metric, failed, with an image, not started."""
    folder = tmp_path_factory.mktemp("odd") / "digits"
    goals = [{"name": "loss", "goal": "minimize"}, {"name": "speed", "goal": "maximize"}]
    write(folder / "sweep.json", {"method": "random", "metrics": goals})
    for number in range(12):
        run = folder / f"run{number:02}"
        write_run(run, f"{LONG} {number}", {"rate": number / 100, "optimizer": "adam" if number % 2 else "sgd"}, gpus=1)
        losses = [2 / (i + 1 + number % 3) + 0.01 * number for i in range(STEPS)]
        if number == 3:
            losses[20:] = [10.0 ** (i + 5) for i in range(STEPS - 20)]
        elif number == 5:
            losses[33:] = [math.nan] * (STEPS - 33)
        elif number == 7:
            losses = losses[:1]
        rows: list[dict[str, Any]] = [
            {"loss": loss, "epoch": i // 4 % 9, "speed": 100 - 5 * (number - 6) ** 2 + i / 100}
            for i, loss in enumerate(losses)
        ]
        if number == 0:
            rows[-1] |= {"sample._type": "image-file", "sample.path": "media/a.png", "sample.width": 1}
            rows[-1] |= {
                "errors._type": "table-file",
                "errors.path": "media/b.json",
                "errors.nrows": 7,
                "errors.ncols": 2,
            }
            rows[-1] |= {"weights._type": "histogram", "weights.bins": [0, 1, 2], "weights.values": [3, 4]}
        if number == 11:
            continue
        write_log_of(run, rows if number != 8 else [])
        more = {"reason": "out of memory"} if number == 9 else {}
        more |= {"message": "No module named 'einops'"} if number == 10 else {}
        end = f"2026-03-01T11:{number:02}:00+00:00"
        write_attempt(run, 1, "failed" if number in {9, 10} else "finished", seconds=3600.0, end=end, **more)
    (files,) = (folder / "run00").glob("wandb/offline-run-*")
    (files / "files" / "media").mkdir(parents=True)
    (files / "files" / "media" / "a.png").write_bytes(PNG)
    return build_report(folder)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep") / "digits"
    write_sweep(folder, 200, 40)
    return build_report(folder, cluster="narval")


def best_of(page: Any) -> str:
    return " ".join(page.locator("#best-run").inner_text().split())


def test_the_first_screen_answers_the_four_questions(open_page: Open, odd: Path, sweep: Path) -> None:
    page = open_page(sweep, viewport={"width": 1400, "height": 1000}).page
    for title in ("Best run", "Did they converge?", "What failed, and why?", "What to ask for next?"):
        box = page.get_by_role("region", name=title).bounding_box()
        assert box["y"] + box["height"] < 1000
    assert "lowest loss" in best_of(page)
    assert page.locator("#runs-table th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert (
        page.get_by_role("region", name="What to ask for next?").locator("pre").inner_text().startswith("experiments:")
    )
    for choice in ("highest accuracy", "lowest loss"):
        page.locator("#by").select_option(choice)
        first = page.evaluate("ranked()[0]")
        name, url, rate = page.evaluate(
            f"[report.runs[{first}], report.urls[{first}], String(report.parameters[0].values[{first}])]"
        )
        becomes(True, lambda name=name, rate=rate: name in best_of(page) and f"learning_rate {rate}" in best_of(page))
        assert page.locator("#best-run .link:visible").get_attribute("href") == url
    # Its best and its last value both.
    columns = [" ".join(text.split()) for text in page.locator("#runs-table thead th").all_inner_texts()]
    assert {"Best", "lowest loss", "at step", "Last values", "loss"} <= {text.strip() for text in columns}
    page = open_page(odd, viewport={"width": 1400, "height": 1000}).page
    assert f"{LONG} 0" in best_of(page)
    assert "lowest loss 0.03333 at step 59, last 0.03333" in best_of(page)
    failed = " ".join(page.get_by_role("region", name="What failed, and why?").inner_text().split())
    assert "1 run, out of memory (exit code 1):" in failed
    converged = page.get_by_role("region", name="Did they converge?").inner_text()
    assert "1 run stopped being numbers, the first at step 33 (NaN)" in converged
    assert "1 run ended worse than they began: diverged, or overfitted" in converged
    # Why, in the words of the run itself.
    assert "No module named 'einops'" in failed
    # A choice of the page's: another metric and way, in the card, the table, the progress of the search.
    page.locator("#by").select_option("highest speed")
    becomes(True, lambda: f"{LONG} 6" in best_of(page) and "highest speed 100.6 at step 59" in best_of(page))
    becomes(f"{LONG} 6", page.locator("#runs-table tbody .name").first.inner_text)
    becomes("descending", lambda: page.locator("#runs-table th[aria-sort]").get_attribute("aria-sort"))
    so_far = "charts.find(({ x }) => x === 'runs').drawn.at(-1).ys.at(-1)"
    becomes(True, lambda: abs(page.evaluate(so_far) - 100.59) < 0.1)
    # Eleven runs of an hour on one GPU each.
    assert page.evaluate(so_far.replace("'runs'", "'GPU-hours'").replace("ys", "xs")) == pytest.approx(11)


def test_odd_runs_mislead_nobody(open_page: Open, odd: Path) -> None:
    opened = open_page(odd)
    page = opened.page
    assert opened.said == []
    loss = "charts.find(({ plot }) => plot.dataset.chart === '0')"
    captions = [text.split("\n")[0] for text in page.locator(".charts.metrics figcaption").all_inner_texts()]
    # A counter comes last and is named one, also where it starts again.
    assert [text.split()[0] for text in captions] == ["loss", "speed", "epoch"]
    assert "a counter" in captions[-1]
    # It is no outcome either.
    for offered in ("#by", "#outcome"):
        assert "loss" in page.locator(offered).inner_text()
        assert "epoch" not in page.locator(offered).inner_text()
    # One diverged run leaves the axis to the others, and this is said.
    assert page.evaluate(f"{loss}.range.y[1]") < 5
    assert "1 run beyond the axis, as far as 1.00e+44" in captions[0]
    page.locator("#robust").uncheck()
    becomes(True, lambda: page.evaluate(f"{loss}.range.y[1]") > 1e43)
    page.locator("#robust").check()
    becomes(True, lambda: page.evaluate(f"{loss}.range.y[1]") < 5)
    # NaN: since which step, on the curve and in the table.
    assert page.evaluate(f"{loss}.drawn.find(({{ run }}) => run === 5).lost") == [33, "NaN"]
    red = """(chart) => {
        const canvas = chart.base;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const far = (i) => Math.abs(data[i] - 179) + Math.abs(data[i + 1] - 38) + Math.abs(data[i + 2] - 30);
        let count = 0;
        for (let i = 0; i < data.length; i += 4) if (far(i) < 20) count++;
        return count;
    }"""
    assert page.evaluate(f"({red})({loss})") > 10
    row = page.locator("#runs-table tbody tr[data-run='5']")
    assert "loss: NaN since step 33" in row.inner_text()
    # One line a row, the whole name on hover.
    heights = page.evaluate("rows.map((row) => row.getBoundingClientRect().height)")
    assert max(heights) < 40
    assert row.locator(".key").get_attribute("title") == f"{LONG} 5, run05"
    # Two goals.
    assert page.locator("#front-table tbody tr").count() > 2
    assert page.evaluate("charts.find(({ plot }) => 'front' in plot.dataset).drawn.length") > 5
    images = page.locator(".thumbnails img")
    assert images.count() == 1
    assert images.evaluate("(image) => image.naturalWidth") == 1
    named = " ".join(page.locator(".media").inner_text().split())
    assert "errors step 59, table, 7 rows of 2 columns" in named
    assert "weights step 59, histogram" in named
    assert "Too few runs" in page.locator(".importance:visible").inner_text()


def test_many_runs_are_means_and_bands_the_best_ten_or_all(open_page: Open, sweep: Path) -> None:
    opened = open_page(sweep)
    page = opened.page
    drawn = "charts[0].drawn.map(({ label, run }) => label ?? run)"
    assert len(page.evaluate(drawn)) == 4
    assert page.evaluate(
        "charts[0].drawn.every(({ low, high, ys }) => ys.every((y, i) => low[i] - 1e-9 <= y && y <= high[i] + 1e-9))"
    )
    page.locator("#group").select_option("optimizer")
    becomes(["optimizer = adam", "optimizer = sgd"], lambda: [text.split(" (")[0] for text in page.evaluate(drawn)])
    # The mean is that of the runs: of the middle 80 % at the last step.
    last = """charts[0].drawn.map(({ group }) => {
        const some = charts[0].all.filter(({ run }) => state.groupOf.get(run) === group);
        const values = some.map(({ ys }) => ys.at(-1)).sort((a, b) => a - b);
        const cut = Math.floor(values.length / 10);
        const kept = values.slice(cut, values.length - cut);
        return kept.reduce((sum, value) => sum + value, 0) / kept.length;
    })"""
    assert page.evaluate("charts[0].drawn.map(({ ys }) => ys.at(-1))") == pytest.approx(page.evaluate(last))
    page.locator("#groups .key").first.click()
    page.mouse.move(2, 2)
    becomes(True, lambda: 60 < len(opened.raised()) < 140)
    page.keyboard.press("Escape")
    # What is mere noise is not said to matter.
    rated = page.locator(".importance:visible tr", has_text="dropout").inner_text()
    assert "no more than chance" in rated
    assert "no more than chance" not in page.locator(".importance:visible tr", has_text="learning_rate").inner_text()
    # The machines' charts, too: a thousand curves are a block of colour there as well.
    system = "charts.find(({ plot }) => plot.dataset.system === '0').drawn"
    assert page.evaluate(f"{system}.map(({{ low }}) => low?.length)") == [120, 120]
    page.locator("#show").select_option("best 10")
    becomes(10, lambda: len(page.evaluate(drawn)))
    assert set(page.evaluate(drawn)) == set(page.evaluate("ranked().slice(0, 10)"))
    page.locator("#show").select_option("all 200")
    becomes(200, lambda: len(page.evaluate(drawn)))
    assert opened.said == []


def test_a_chart_is_zoomed_by_dragging_and_by_numbers_and_all_follow(open_page: Open, sweep: Path) -> None:
    opened = open_page(sweep)
    page = opened.page
    x, y, width, height = page.evaluate(
        "(({ left, top, width, height }) => [left, top, width, height])(charts[0].uplot.over.getBoundingClientRect())"
    )
    page.mouse.move(x + width * 0.25, y + height / 2)
    page.mouse.down()
    page.mouse.move(x + width * 0.5, y + height / 2, steps=4)
    page.mouse.up()
    becomes([[9, 20]] * 3, lambda: page.evaluate("charts.slice(0, 3).map((chart) => chart.range.x)"))
    assert (page.locator("#zoom-from").input_value(), page.locator("#zoom-to").input_value()) == ("9", "20")
    # It is no click: nothing stands out.
    page.mouse.move(2, 2)
    becomes([], opened.raised)
    page.get_by_role("button", name="Whole").click()
    becomes([0, 39], lambda: page.evaluate("charts[0].range.x"))
    page.locator("#zoom-from").fill("5")
    page.locator("#zoom-to").fill("12")
    page.locator("#zoom-to").press("Enter")
    becomes([5, 12], lambda: page.evaluate("charts[0].range.x"))
    assert opened.said == []


@pytest.mark.parametrize("width", [1400, 390])
def test_a_phone_shows_the_whole_of_it(open_page: Open, odd: Path, sweep: Path, width: int) -> None:
    for file in (odd, sweep):
        opened = open_page(file, viewport={"width": width, "height": 844})
        page = opened.page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Every axis of the parameters and of the outcome, from end to end.
        ends = page.evaluate("parallel.axes.flatMap(({ x }) => parallel.ends.map((end) => parallel.turn([x, end])))")
        size = page.evaluate("[parallel.plot.clientWidth, parallel.plot.clientHeight]")
        assert all(0 <= end[0] <= size[0] and 0 <= end[1] <= size[1] for end in ends)
        # Three axes stand side by side on a phone, five lie below each other.
        assert page.evaluate("parallel.turned") == (width == 390 and file == sweep)
        # What all names begin with is left out where there is no room for it, and stays for who hears the page.
        letters = page.evaluate("getComputedStyle(document.querySelector('#runs-table .start')).fontSize")
        assert (letters == "0px") == (width == 390)
        # Each has a name for who does not see it.
        named = "button, a, select, input, .plot, img, [role=region], [role=group]"
        nameless = f"""[...document.querySelectorAll("{named}")].filter((each) => !(
            each.textContent.trim() || each.ariaLabel || each.labels?.length || each.alt
            || each.getAttribute("aria-labelledby"))).length"""
        assert page.evaluate(nameless) == 0


def test_of_one_restarted_run_the_epoch_is_not_the_first_chart(open_page: Open, tmp_path: Path) -> None:
    run = tmp_path / "digits" / "a"
    write_run(run, "a", {"rate": 1})
    epochs = [0, 0, 1, 1, 2, 2, 1, 1, 2, 2, 3, 3]
    write_log_of(run, [{"epoch": epoch, "zeal": 1 / (i + 1)} for i, epoch in enumerate(epochs)])
    write_attempt(run, 1, "finished")
    page = open_page(build_report(run.parent)).page
    captions = [text.split()[0] for text in page.locator(".charts.metrics figcaption").all_inner_texts()]
    assert captions == ["zeal", "epoch"]
    assert "epoch" not in page.locator("#by").inner_text()


def test_where_no_metric_tells_the_best_run_one_is_chosen(open_page: Open, tmp_path: Path) -> None:
    for number in range(3):
        run = tmp_path / "digits" / f"run{number}"
        write_run(run, f"rate={number}", {"rate": number})
        write_log_of(run, [{"zeal": number + i / 10} for i in range(3)])
        write_attempt(run, 1, "finished")
    opened = open_page(build_report(tmp_path / "digits"))
    page = opened.page
    assert "choose one" in best_of(page)
    assert page.locator("#progress:visible, #best-run .told:visible").count() == 0
    page.locator("#by").select_option("highest zeal")
    becomes(True, lambda: best_of(page).endswith("rate=2 highest zeal 2.2 at step 2, last 2.2 rate 2"))
    page.locator("#progress").scroll_into_view_if_needed()
    becomes([1.2, 2.2], lambda: page.evaluate("charts.find(({ x }) => x === 'runs').drawn.at(-1).ys.slice(-2)"))
    page.locator("#by").select_option("choose a metric")
    becomes(0, page.locator("#best-run .told:visible").count)
    assert opened.said == []


def test_several_wandb_runs_stay_below_their_job(open_page: Open, tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    segments: list[dict[str, Any]] = []
    for number in range(3):
        run = folder / f"run{number}"
        write_run(run, f"job {number}", {"rate": number})
        segments.append(segment(run, f"job {number}", [{"loss": 3.0 - number}] * 3))
        segments += [
            segment(run, f"fold {number}{fold}", [{"loss": 0.5 + number + fold}] * 3, id=f"fold{number}{fold}")
            for fold in range(2)
        ]
    write_segments(segments)
    for number in range(3):
        write_attempt(folder / f"run{number}", 1, "finished")
    page = open_page(build_report(folder)).page

    def names() -> list[str]:
        return page.locator("#runs-table tbody .name").all_inner_texts()

    # By the best of each job's W&B runs: 0.5, 1 and 1.5.
    assert names() == [f"{kind}" for n in (0, 2, 1) for kind in (f"job {n}", f"fold {n}0", f"fold {n}1")]
    page.locator("#by").select_option("highest loss")
    becomes([f"{kind}" for n in (2, 0, 1) for kind in (f"job {n}", f"fold {n}0", f"fold {n}1")], names)
    page.locator("#by").select_option("lowest loss")
    becomes("job 2", lambda: names()[3])
    page.locator("#runs-table thead").get_by_role("button", name="rate").click()
    becomes([f"{kind}" for n in (0, 1, 2) for kind in (f"job {n}", f"fold {n}0", f"fold {n}1")], names)
    assert page.evaluate("charts[0].drawn.length") == 9
    assert best_of(page).count("fold 00") == 1
    # The search's progress counts jobs, each by the best of its W&B runs.
    so_far = "charts.find(({ x }) => x === 'runs').drawn.filter(({ run }) => run !== null).map(({ ys }) => ys[0])"
    assert page.evaluate(so_far) == [0.5, 1.5, 1.0]
    wait_until_drawn(page)
