"""What the report says first: the best run, convergence, failures, and what a job of several W&B runs has."""

from __future__ import annotations

import base64
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runferry.report.data import read_experiment
from runferry.report.goals import Goal, guess_goal
from runferry.report.media import LARGEST_IMAGE, take_media
from runferry.report.model import Curve
from runferry.report.summary import (
    convergence,
    failures,
    gained_at_the_end,
    lost_at_the_end,
    pareto_front,
    ranking,
)
from support.report_pages import (
    build,
    no_slurm,  # noqa: F401 - a fixture
)
from support.sample_experiment import (
    segment,
    write,
    write_attempt,
    write_log_of,
    write_receipt,
    write_run,
    write_segments,
)
from support.small_png import PNG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def write_runs(folder: Path, losses: Mapping[str, Sequence[float]], **more: Any) -> Path:
    """Write an experiment of runs with these losses."""
    for number, (name, values) in enumerate(losses.items()):
        write_run(folder / name, name, {"rate": number})
        write_log_of(folder / name, [{"loss": value, "speed": number + i / 100} for i, value in enumerate(values)])
        write_attempt(folder / name, 1, "finished")
    if more:
        write(folder / "sweep.json", {"method": "random", **more})
    return folder


def test_the_best_run_is_by_the_sweeps_metric_and_goal_and_its_best_value(tmp_path: Path) -> None:
    losses = {"late": [5.0, 0.3, 2.0], "last": [5.0, 4.0, 0.5], "lost": [5.0, math.nan, 0.1], "none": []}
    folder = write_runs(tmp_path / "digits", losses, metric={"name": "loss", "goal": "minimize"})
    report = read_experiment(folder)
    assert report.goals == [Goal("loss", maximize=False)]
    found = [(report.runs[each.number].name, each.value, each.step) for each in ranking(report, report.goals[0])]
    assert found == [("lost", 0.1, 2), ("late", 0.3, 1), ("last", 0.5, 2)]
    page = build(folder)
    assert [row[0].split()[0] for row in page.table[2:]] == ["lost", "late", "last", "none"]
    assert (page.row("late")["lowestloss"], page.row("late")["atstep"], page.row("late")["loss"]) == (
        *("0.3000", "1", "2.000"),
    )
    assert "lowest loss 0.1000 at step 2, last 0.1000" in " ".join(page.text.split())


@pytest.mark.parametrize(
    ("sweep", "goals"),
    [
        ({"metric": {"name": "speed", "goal": "maximize"}}, [Goal("speed", maximize=True)]),
        # W&B's default goal.
        ({"metric": {"name": "loss"}}, [Goal("loss", maximize=False)]),
        (
            {"metrics": [{"name": "loss", "goal": "minimize"}, {"name": "speed", "goal": "maximize"}]},
            [Goal("loss", maximize=False), Goal("speed", maximize=True)],
        ),
        (
            {"scheduler": {"engine": "optuna", "metrics": [{"name": "loss"}, {"name": "speed", "goal": "maximize"}]}},
            [Goal("loss", maximize=False), Goal("speed", maximize=True)],
        ),
        ({"metric": ["odd"], "scheduler": 3}, [Goal("loss", maximize=False, guessed=True)]),
    ],
)
def test_goals_are_what_the_sweep_says(tmp_path: Path, sweep: dict[str, Any], goals: list[Goal]) -> None:
    assert read_experiment(write_runs(tmp_path / "digits", {"one": [1.0]}, **sweep)).goals == goals


@pytest.mark.parametrize(
    ("metrics", "goal"),
    [
        (["acc", "loss"], Goal("acc", maximize=True, guessed=True)),
        (["train/loss", "val/loss"], Goal("val/loss", maximize=False, guessed=True)),
        (["lossy", "account", "throughput"], None),
    ],
)
def test_without_a_sweep_the_goal_is_guessed_from_names_that_say_it(metrics: list[str], goal: Goal | None) -> None:
    assert guess_goal(metrics) == goal


def test_a_run_without_a_metric_to_guess_by_leaves_the_choice_to_the_user(tmp_path: Path) -> None:
    write_log_of(tmp_path / "digits" / "one", [{"throughput": 3.0}])
    page = build(tmp_path / "digits")
    assert "choose a metric" in page.text
    assert page.data["goals"] == []


def test_a_curve_has_converged_where_its_end_gained_little() -> None:
    steps = list(range(100))
    falling = Curve(steps, [100.0 - step for step in steps], 100, 1.0)
    assert gained_at_the_end(falling, maximize=False) == pytest.approx(0.1, abs=0.02)
    flat = Curve(steps, [1 / (step + 1) + 0.1 * (step % 2) for step in steps], 100, 0.01)
    assert gained_at_the_end(flat, maximize=False) == pytest.approx(0.0, abs=0.01)
    assert gained_at_the_end(Curve(steps[:5], [1.0] * 5, 5, 1.0), maximize=False) is None
    assert gained_at_the_end(Curve(steps, [1.0] * 100, 100, 1.0), maximize=True) == 0.0


def test_a_curve_that_ends_worse_than_it_began_has_not_converged(tmp_path: Path) -> None:
    fell = [2 / (i + 1) for i in range(30)]
    losses = {"good": fell, "diverged": fell + [10.0**i for i in range(30)], "overfitted": fell + [3.0] * 9}
    # Some of a fall is lost again, and noise is no fall.
    losses |= {"worse": fell + [1.0] * 9, "noise": [1 + math.sin(7 * i * i) for i in range(40)], "short": [1.0, 9.0]}
    report = read_experiment(write_runs(tmp_path / "digits", losses))
    said = {each.text.partition(":")[0]: each for each in convergence(report, report.goals[0])}
    found = said["ended worse than they began"]
    assert [report.runs[number].name for number in found.runs] == ["diverged", "overfitted"]
    assert found.bad
    assert [report.runs[number].name for number in said["converged"].runs] == ["good", "noise", "worse"]
    # Nobody knows where one that was cut off would have ended; one that had diverged by then has.
    cut = replace(report, runs=[replace(run, state="failed") for run in report.runs])
    assert [each.text for each in convergence(cut, cut.goals[0])] == [found.text]
    steps = list(range(40))
    assert lost_at_the_end(Curve(steps, [1.0] * 40, 40, 1.0), maximize=True) == 0
    assert lost_at_the_end(Curve(steps, [-float(step) for step in steps], 40, 0.0), maximize=True) > 10
    # Of an accuracy the other way round.
    assert lost_at_the_end(Curve(steps, [1 - 1 / (step + 1) for step in steps], 40, 0.0), maximize=True) < 0.1


def test_a_run_that_stops_being_a_number_says_since_which_step(tmp_path: Path) -> None:
    losses = {
        "nan": [1.0] * 12 + [math.nan] * 3,
        "infinite": [1.0] * 5 + [math.inf, math.nan],
        "a gap": [1.0, math.nan, 0.5],
        "good": [20.0 - i for i in range(20)],
    }
    folder = write_runs(tmp_path / "digits", losses, metric={"name": "loss", "goal": "minimize"})
    report = read_experiment(folder)
    assert {run.name: run.lost for run in report.runs if run.lost} == {
        "nan": {"loss": (12, "NaN")},
        "infinite": {"loss": (5, "infinite")},
    }
    page = build(folder)
    assert page.row("nan")["State"] == "finished loss: NaN since step 12"
    assert page.row("infinite")["State"] == "finished loss: infinite since step 5"
    assert page.row("a gap")["State"] == "finished"
    said = {
        each.text: [report.runs[number].name for number in each.runs] for each in convergence(report, report.goals[0])
    }
    assert said == {
        "still improved at the end: longer training may help": ["good"],
        "stopped being numbers, the first at step 5 (infinite)": ["infinite", "nan"],
    }


def test_failures_are_grouped_by_their_reason(tmp_path: Path) -> None:
    missing = "No module named 'einops'"
    runs: dict[str, dict[str, Any]] = {
        "a": {"message": missing},
        "b": {"reason": "out of memory"},
        "c": {"message": missing},
        "d": {"exit_code": 3, "message": "one"},
        "e": {"exit_code": 3, "message": "two"},
    }
    for name, more in runs.items():
        write_run(tmp_path / "digits" / name, name, {})
        write_attempt(tmp_path / "digits" / name, 1, "failed", **more)
    found = [(each.reason, each.runs, each.message) for each in failures(read_experiment(tmp_path / "digits").runs)]
    assert found == [
        ("exit code 1", [0, 2], missing),
        ("exit code 3", [3, 4], "one (and 1 other message)"),
        ("out of memory (exit code 1)", [1], ""),
    ]


def test_the_pareto_front_has_the_runs_that_no_other_surpasses(tmp_path: Path) -> None:
    losses = {"slow": [0.1], "both worse": [0.5], "fast": [0.3], "fastest": [0.9]}
    goals = [{"name": "loss", "goal": "minimize"}, {"name": "speed", "goal": "maximize"}]
    report = read_experiment(write_runs(tmp_path / "digits", losses, metrics=goals))
    assert [report.runs[number].name for number, *_ in pareto_front(report, report.goals)] == [
        "slow",
        "fast",
        "fastest",
    ]
    page = build(tmp_path / "digits")
    assert [row[0] for row in page.tables["front-table"][1:]] == ["slow", "fast", "fastest"]


def test_several_wandb_runs_of_a_job_stand_below_it(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_run(run, "job", {"rate": 1})
    folds = [segment(run, f"fold {n}", [{"loss": 1.0 / n}], id=f"fold{n}") for n in (1, 2)]
    write_segments([segment(run, "job", [{"loss": 3.0}]), *folds])
    write_attempt(run, 1, "finished")
    urls = [{"run": name, "url": f"https://wandb.example/{name}"} for name in ("aaaa", "fold1")]
    write_receipt(run, wandb_runs=urls)
    write_run(tmp_path / "digits" / "bbbb", "other", {"rate": 2})
    (log,) = run.glob("wandb/offline-run-*-fold2/run-fold2.wandb")
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 1
    log.write_bytes(content)
    page = build(tmp_path / "digits")
    assert [row[0].split()[0] for row in page.table[2:]] == ["job", "fold", "fold", "other"]
    assert page.data["within"] == [None, 0, 0, None]
    assert page.data["urls"] == [
        "https://wandb.example/lab/digits/runs/aaaa",
        "https://wandb.example/fold1",
        None,
        None,
    ]
    assert page.curve("loss", 1)[1] == [1.0]
    assert "2 runs: 1 finished, 1 not started; receipts for 1 of 2." in page.text
    # Damage of every W&B run is noted, below the job that it is of.
    notes = page.text[page.text.index("Notes") :]
    assert log.parent.name in notes


def test_media_are_named_and_small_images_shown(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    image = {"_type": "image-file", "path": "media/images/a.png", "width": 1, "height": 1, "size": 70}
    outside = {"_type": "image-file", "path": "../../../../secret.png", "size": 70}
    large = {"_type": "images/separated", "filenames": ["media/images/large.png", "media/images/a.png"], "count": 2}
    table = {"_type": "table-file", "path": "media/t.json", "nrows": 3, "ncols": 2}
    rows = [
        {"loss": 1.0, **{f"{name}.{key}": value for name, given in media.items() for key, value in given.items()}}
        for media in (
            {"sample": image, "t": table},
            {"sample": image, "odd": outside, "many": large, "h": {"_type": "histogram", "bins": [1, 2]}},
        )
    ]
    write_log_of(run, rows)
    (files,) = [path / "files" / "media" / "images" for path in run.glob("wandb/offline-run-*")]
    files.mkdir(parents=True)
    (files / "a.png").write_bytes(PNG)
    (files / "large.png").write_bytes(PNG + b"0" * LARGEST_IMAGE)
    (tmp_path / "digits" / "secret.png").write_bytes(PNG)
    page = build(run.parent)
    assert [chart["name"] for chart in page.data["metrics"]] == ["loss"]
    assert page.header[2:6] == ["lowestloss", "atstep", "loss", "Duration"]
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 2
    assert {image["src"] for image in images} == {f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}
    text = " ".join(page.text.split())
    for said in (
        "t step 0, table, 3 rows of 2 columns",
        "h step 1, histogram",
        "many step 1, 1 of 2 shown",
        "odd step 1, 1 not shown",
    ):
        assert said in text


def test_media_that_an_older_wandb_writes_as_one_value_are_known_too() -> None:
    columns = {"image": ([0], ['{"_type": "image-file", "path": "a.png"}']), "loss": ([0], ["1"])}
    assert take_media(columns, [7])["image"].step == 7
    assert list(columns) == ["loss"]
