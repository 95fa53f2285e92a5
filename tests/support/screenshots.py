"""The pictures of the pages in docs/images, drawn from made-up runs: python tests/support/screenshots.py."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from runferry.config.cluster import find_cluster  # noqa: E402 - as above
from runferry.report.build import build_report  # noqa: E402 - as above
from runferry.runs.state import DONE, FAILED, RUNNING, UNSYNCED, WAITING  # noqa: E402 - as above
from runferry.workflow.plan import record  # noqa: E402 - as above
from runferry.workflow.plan.model import ExperimentPlan, Plan, PlannedJob  # noqa: E402 - as above
from runferry.workflow.plan.page import render  # noqa: E402 - as above
from runferry.workflow.plan.runs import PlannedRun  # noqa: E402 - as above
from support.drawing import chromium, wait_until_drawn  # noqa: E402 - as a program of its own it finds them so
from support.large_sweep import write_sweep  # noqa: E402 - as above

IMAGES = ROOT / "docs" / "images"
STATES = {DONE: 578, UNSYNCED: 96, FAILED: 8, RUNNING: 18, WAITING: 300}


def draw_report(browser: Any, folder: Path, target: Path) -> None:
    """Draw a report's head in light and dark, and its attempts, into the folder `target`; `folder` is for the runs."""
    write_sweep(folder / "sweep", 48, 120)
    page_file = build_report(folder / "sweep", cluster="narval")
    for scheme, name in (("light", "report.png"), ("dark", "report-dark.png")):
        page = browser.new_page(viewport={"width": 1280, "height": 1060}, color_scheme=scheme)
        page.goto(page_file.as_uri())
        wait_until_drawn(page)
        page.screenshot(path=target / name)
        if scheme == "light":
            page.locator("section[aria-labelledby=attempts-title]").screenshot(path=target / "attempts.png")
        page.close()


def draw_plan(browser: Any, folder: Path, target: Path) -> None:
    """Draw a plan for Narval with one of its experiments folded open, into the folder `target`."""
    narval = find_cluster("narval")
    chance = random.Random(7)
    states = [state for state, count in STATES.items() for _ in range(count)]
    chance.shuffle(states)
    experiments = [
        _experiment("digits", states, per_job=3, gpus=1, minutes=62),
        _experiment("big", [WAITING] * 2, per_job=1, gpus=4, minutes=720),
        _experiment("ablation", [WAITING] * 4, per_job=1, gpus=2, minutes=300),
    ]
    plan = Plan(
        cluster="narval",
        title=narval.title,
        experiments=experiments,
        environments={"default": False},
        mode="offline",
        reason=narval.wandb.reason,
        files=3652,
        bytes=200_000,
        measured=True,
        job_cap=1000,
    )
    record.write(folder / "plan.json", plan)
    page_file = folder / "plan.html"
    page_file.write_text(render(json.loads((folder / "plan.json").read_text())))
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(page_file.as_uri())
    page.locator("details summary").first.click()
    page.screenshot(path=target / "plan.png", full_page=True)
    page.close()


def _experiment(name: str, states: list[str], *, per_job: int, gpus: int, minutes: int) -> ExperimentPlan:
    chance = random.Random(name)
    runs: list[PlannedRun] = []
    to_train = 0
    for number, state in enumerate(states, 1):
        identifier = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=12))
        left = state not in {DONE, UNSYNCED}
        job = to_train // per_job if left else None
        to_train += left
        runs.append(PlannedRun(identifier, f"n={number}", state, job, "out of memory" if state == FAILED else None))
    a100 = find_cluster("narval").gpu_names["a100"]
    cores, memory = gpus * (a100.cores or 0), gpus * (a100.memory or 0)
    sizes = [min(per_job, to_train - first) for first in range(0, to_train, per_job)]
    jobs = [PlannedJob(size, 1, gpus, "a100", cores, memory, minutes, a100.rgu) for size in sizes]
    return ExperimentPlan(name, "default", runs, jobs, attempts=3)


def main() -> None:
    """Draw all of them."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for draw in (draw_report, draw_plan):
            draw(browser, Path(folder), IMAGES)


if __name__ == "__main__":
    main()
