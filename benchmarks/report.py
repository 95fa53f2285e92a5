"""What it costs to read segments and to make a report of them, beside the plain reader of the wandb package.

Prints JSON lines:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": the ratio or the figure to stay under}

The runs are real runs of the installed wandb, copied. The plain reader is `wandb.sdk.internal.datastore` with
`wandb_internal_pb2`, as wandb had it up to 0.29 (here 0.27.2, from the environment that `make test` makes): once to the
values of each row, as ours, and once to the parsed record only, which is what the parser alone takes. CPU seconds,
because the machine may be busy.

The page of 1,000 long runs is opened in Chromium, each switch is used, and the longest time is taken in which the page
could not answer: from the tasks of 50 ms and more that the browser itself reports. To make it takes no longer than the
report of before it answered anything took (git state 523af05e~1, 225 CPU s; `large --only-made` prints this alone, with
PYTHONPATH set to the `src` of any state).

    python benchmarks/report.py            # about ten minutes
    python benchmarks/report.py thousand   # one of: long, thousand, large
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from runferry.report.build import build_report  # noqa: E402 - what the tests share lies there
from runferry.report.measurements import Measuring  # noqa: E402 - as above
from runferry.trackers.wandb.log.segment import read_segment  # noqa: E402 - as above
from support.drawing import chromium, wait_until_drawn  # noqa: E402 - as above

WRITER = """
import sys, wandb
for name in sys.argv[4:]:
    run = wandb.init(mode="offline", dir=sys.argv[1], id=name, project="benchmark",
                     settings=wandb.Settings(silent=True, console="off"))
    for step in range(int(sys.argv[2])):
        run.log({f"metric{number}": step / (number + 1) for number in range(int(sys.argv[3]))})
    run.finish()
"""
PLAIN_READER = """
import json, sys, time
from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore
start = time.process_time()
for path in sys.argv[2:]:
    rows = []
    store = DataStore()
    store.open_for_scan(path)
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if sys.argv[1] == "values" and record.HasField("history"):
            items = record.history.item
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
print(time.process_time() - start)
"""


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"long": long_runs, "thousand": thousand, "large": large}
    parser.add_argument("measures", nargs="*", choices=[*measures, []], help="which (default: all)")
    parser.add_argument("--only-made", action="store_true", help="open no page in a browser")
    given = parser.parse_args()
    for name in given.measures or measures:
        with tempfile.TemporaryDirectory(prefix="runferry-benchmark-") as folder:
            if name == "large":
                large(Path(folder), opened=not given.only_made)
            else:
                measures[name](Path(folder))


def long_runs(folder: Path) -> None:
    """Read 20 runs of 10,000 rows of 10 metrics."""
    python = ROOT / ".venv" / "wandb-0.27.2" / "bin" / "python"
    if not python.exists():
        sys.exit(f"no {python}: type make test")
    one = write_run(folder, 10_000, 10)
    logs = [Path(shutil.copy(one, folder / f"run-{number}.wandb")) for number in range(20)]
    start = time.process_time()
    for log in logs:
        measuring = Measuring()
        read_segment(log, measuring.add)
        measured = measuring.measurements()
        found = len(measured.steps), len(measured.columns)
        if found != (10_000, 10):
            sys.exit(f"{log}: read {found[0]} rows of {found[1]} metrics, expected 10000 of 10")
    ours = time.process_time() - start
    for what, limit in (("values", 0.5), ("records", 4.0)):
        command = [python, "-c", PLAIN_READER, what, *logs]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        name = f"20 runs of 10,000 x 10 to values, beside wandb's plain reader to {what}, CPU s"
        show(name, ours, float(done.stdout), limit)


def thousand(folder: Path) -> None:
    """Make the report of 1,000 runs of 100 rows of 4 metrics."""
    experiment = write_experiment(folder, 100)
    before, start = cpu(), time.perf_counter()
    build_report(experiment)
    show("1,000 runs of 100 x 4 to a report, CPU s", cpu() - before, None, 20.0)
    show("1,000 runs of 100 x 4 to a report, s", time.perf_counter() - start, None, 20.0)


def large(folder: Path, *, opened: bool = True) -> None:
    """Make the report of 1,000 runs of 10,000 rows of 4 metrics, and use its page where that is wanted."""
    experiment = write_experiment(folder, 10_000)
    before = cpu()
    page = build_report(experiment)
    show("1,000 runs of 10,000 x 4 to a report, CPU s", cpu() - before, None, 245.0)
    show("the same, most memory, MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, None, 1024.0)
    show("its page, MB", page.stat().st_size / 2**20, None, 12.0)
    if not opened:
        return
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tab.add_init_script(WATCH_LONG_TASKS + WATCH_CLICK)
        start = time.perf_counter()
        tab.goto(page.as_uri())
        wait_until_drawn(tab)
        show("its page in Chromium, until all is drawn, s", time.perf_counter() - start, None, 10.0)
        show("its page in Chromium, until the first paint, s", tab.evaluate(FIRST_PAINT) / 1000, None, 1.0)
        longest = {"opened": tab.evaluate("longest()")}
        tab.evaluate("scrollTo(0, document.querySelector('.charts.metrics').offsetTop - 200)")
        for shown in ("mean", "all"):
            tab.evaluate(CHANGE.format(name="show", value=f"'{shown}'"))
            wait_until_drawn(tab)
            tab.mouse.click(*tab.evaluate(END_OF_A_CURVE))
            tab.wait_for_timeout(1500)
            if not tab.evaluate("state.pressed.size"):
                sys.exit(f"the click on a curve ({shown}) made no run stand out, expected one or more")
            took = tab.evaluate("clickTook") / 1000
            show(f"a click on a curve of its page ({shown}), s", took, None, 1.0)
            tab.keyboard.press("Escape")
        for what, act in ACTIONS.items():
            tab.evaluate(act)
            wait_until_drawn(tab)
            longest[what] = tab.evaluate("longest()")
    for what, milliseconds in longest.items():
        show(f"the longest that its page does not answer: {what}, s", milliseconds / 1000, None, 1.0)


WATCH_LONG_TASKS = """
const tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)))
  .observe({ type: "longtask", buffered: true });
window.longest = async () => {
  // The observer is told after the task.
  await new Promise((resolve) => setTimeout(resolve, 300));
  return Math.max(0, ...tasks.splice(0));
};
"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
# From the press of the button to the moment at which what it changed has been painted.
WATCH_CLICK = """
addEventListener("pointerdown", () => { window.pressedAt = performance.now(); }, true);
addEventListener("click", () => {
  requestAnimationFrame(() => setTimeout(() => { window.clickTook = performance.now() - window.pressedAt; }));
});
"""
END_OF_A_CURVE = """
(() => {
  const [chart] = charts;
  const line = chart.drawn[0];
  const { left, top } = chart.plot.getBoundingClientRect();
  return [left + chart.across(line.xs.at(-1)), top + chart.up(line.ys.at(-1))];
})()
"""
CHANGE = """
(() => {{
  const target = document.getElementById("{name}");
  if (target.type === "checkbox") target.checked = {value};
  else target.value = {value};
  for (const kind of ["input", "change"]) target.dispatchEvent(new Event(kind, {{ bubbles: true }}));
}})()
"""
ACTIONS = {
    "smoothing": CHANGE.format(name="smoothing", value="0.6"),
    "time in place of steps": CHANGE.format(name="axis", value="'time'"),
    "log scale": CHANGE.format(name="log", value="true"),
    "filter": CHANGE.format(name="words", value="'run99'"),
    "no filter": CHANGE.format(name="words", value="''"),
    "one metric": CHANGE.format(name="metric", value="'0'"),
    "best ten": CHANGE.format(name="show", value="'best'"),
    "all": CHANGE.format(name="show", value="'all'"),
    "another goal": "by.selectedIndex = 1; chooseGoal()",
    "the first goal": "by.selectedIndex = 0; chooseGoal()",
    "axis with outliers": CHANGE.format(name="robust", value="false"),
    "zoomed": "zoom([100, 2000])",
    "whole": "zoom(null)",
    "a run pointed at": "point(500)",
    "sorted": "document.querySelector('#runs-table thead button').click()",
    "scrolled to the end": "scrollTo(0, document.body.scrollHeight)",
}


def write_experiment(folder: Path, rows: int) -> Path:
    """Write 1,000 runs of as many rows of 4 metrics, all links to one log; return the folder of their experiment."""
    log = write_run(folder / "one", rows, 4)
    experiment = folder / "experiment"
    for number in range(1000):
        segment = experiment / f"run{number}" / "wandb" / f"offline-run-20260301_100000-run{number}"
        segment.mkdir(parents=True)
        (segment / f"run-run{number}.wandb").hardlink_to(log)
    return experiment


def write_run(folder: Path, rows: int, metrics: int) -> Path:
    """Write a run with the installed wandb; return its transaction log."""
    folder.mkdir(exist_ok=True)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("WANDB_")}
    arguments = [str(folder), str(rows), str(metrics), "one"]
    subprocess.run([sys.executable, "-c", WRITER, *arguments], check=True, env=environment)
    return next(folder.glob("wandb/offline-run-*/run-*.wandb"))


def cpu() -> float:
    """CPU seconds of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def show(name: str, ours: float, other: float | None, limit: float) -> None:
    """Print one line; without another the limit is of the figure itself."""
    ratio = None if other is None else round(ours / other, 3)
    line = {"name": name, "ours": round(ours, 2), "other": other and round(other, 2), "ratio": ratio, "limit": limit}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
