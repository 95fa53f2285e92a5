"""Searches with Ax, compared with W&B's own optimizer driven by hand; no test, since Ax needs 1.3 GB with PyTorch.

    python -m venv .ax && .ax/bin/pip install 'wandb[ax]'
    PYTHONPATH=src:tests python -m support.ax_search .ax/bin/python

Prints a line for each thing that holds; the exit code is 1 at the first that does not.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from runferry.config.search import search as definition
from runferry.config.search.engine import ask_engine
from runferry.config.search.state import events_that_hold, points_file, read_events
from runferry.workflow import search as workflow
from support.by_hand import rows_of
from support.paths import ROOT
from support.searches import SEED, Search, sweep_over_x, written

POINTS, PLACES = 9, 3
GOALS = [{"name": "loss", "goal": "minimize"}, {"name": "accuracy", "goal": "maximize"}]
STOPPING = """
from ax.api.client import Client
from ax.early_stopping.strategies import PercentileEarlyStoppingStrategy
from wandb.sdk.sweeps.scheduler.ax import configure_sweep_objective, sweep_config_to_search_space

def client(sweep):
    made = Client()
    made.configure_experiment(parameters=sweep_config_to_search_space(sweep.config))
    configure_sweep_objective(made, sweep.config)
    made.set_early_stopping_strategy(PercentileEarlyStoppingStrategy(min_curves=2, min_progression=1))
    return made
"""


def main() -> int:
    """Check each with the Python that has Ax."""
    python = Path(sys.argv[1]).absolute()
    # The searches' worker is a process of that Python; this one needs no Ax.
    workflow._python = lambda *_: python
    definition.is_importable = lambda _: True
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        one = sweep_over_x(scheduler={"engine": "ax"})
        _compare("one goal, failed runs, starts from nothing and from half a file", Path("one"), one, python)
        several = sweep_over_x(scheduler={"engine": "ax"}, metrics=GOALS)
        del several["metric"]
        _compare("several goals", Path("several"), several, python)
        _prune(Path("pruned"), python)
    return 0


def _compare(what: str, folder: Path, sweep: dict[str, Any], python: Path) -> None:
    steps = _steps()
    by_hand = subprocess.run(
        [python, "-W", "ignore", ROOT / "tests" / "support" / "by_hand.py"],
        input=json.dumps({"sweep": sweep, "seed": SEED, "steps": steps, "file": f"{folder}.json"}),
        env={**os.environ, "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = json.loads(by_hand.stdout.splitlines()[-1])
    search = Search(folder, sweep)
    kept = search.folder / "search" / "ax.json"
    points: dict[int, dict[str, Any]] = {}
    for action, place, *state in steps:
        if action == "end":
            search.end(place, rows_of(points[place]), *state)
            continue
        if place == POINTS - 1:
            kept.unlink()
        elif place == POINTS:
            kept.write_bytes(kept.read_bytes()[:1000])
        points[place] = search.ask(place)
        assert points[place] == wanted[place - 1], f"{what}: point {place}: {points[place]}, {wanted[place - 1]}"
    print(f"the points are those of W&B's optimizer: {what}", flush=True)


def _steps() -> list[list[Any]]:
    """Ask for points, at most three under way at a time, which end in any order."""
    order = random.Random(1)
    steps: list[list[Any]] = []
    running: list[int] = []
    for place in range(1, POINTS + 1):
        steps.append(["ask", place])
        running.append(place)
        if len(running) == PLACES:
            ended = running.pop(order.randrange(PLACES))
            steps.append(["end", ended, "failed" if ended in {2, 6} else "finished"])
    return steps


def _prune(folder: Path, python: Path) -> None:
    Path("stopping.py").write_text(STOPPING)
    search = Search(folder, sweep_over_x(scheduler={"engine": "ax", "source": "stopping.py", "optimizer": "client"}))
    begun = written(search.folder)
    assert begun.pruner == "PercentileEarlyStoppingStrategy", begun.pruner
    for place in (1, 2, 3):
        search.ask(place)
        search.end(place, [{"loss": place / 10 + 1 / step} for step in (1, 2, 3, 4)])
    search.ask(4)
    for loss, pruned in ((0.01, False), (50.0, True)):
        rows = [{"_step": step, "loss": loss} for step in range(3)]
        events = events_that_hold(read_events(points_file(search.folder)))
        answer = ask_engine(begun, python, events, do="prune", number=4, running={"4": rows})
        assert answer["pruned"] is pruned, loss
    search.end(4, [{"loss": 50.0}] * 3, "pruned")
    search.ask(5)
    assert [point.state for point in search.points] == ["finished"] * 3 + ["pruned", None]
    print("a run that is worse than the others is pruned, and told as pruned", flush=True)


if __name__ == "__main__":
    sys.exit(main())
