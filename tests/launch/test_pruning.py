"""A run is stopped where its engine's pruner says so, by what is on the shared disk; the search is told "pruned"."""

from __future__ import annotations

import json
import sys
import time

import pytest

from runferry.runs.folder import RunFolder
from runferry.trackers.wandb.log.segment import read_segment
from support.launching import start
from support.searches import Search, sweep_over_x

pytest.importorskip("optuna")
pytestmark = pytest.mark.slow

STUDY = """
import optuna
def study(sweep):
    return optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=5),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1),
    )
"""

# Much worse than those before, for as long as it is let.
TRAINING = """
import time, wandb
run = wandb.init()
for step in range(1200):
    run.log({"loss": 50.0})
    time.sleep(0.1)
"""

QUICK = "import runferry.launch.pruning as pruning; pruning.ASK_SECONDS = 2.0\n"


def test_a_run_that_the_pruner_gives_up_is_stopped_with_its_rows_and_told_as_pruned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(STUDY)
    scheduler = {"engine": "optuna", "source": "study.py", "optimizer": "study"}
    sweep = sweep_over_x(scheduler=scheduler, command=[sys.executable, "-c", TRAINING])
    search = Search(tmp_path, sweep)
    for place in (1, 2, 3):
        search.ask(place)
        search.end(place, [{"loss": 1.0 / (step + 1)} for step in range(300)])
    search.ask(4)
    folder = RunFolder(search.folder / search.points[3].run)
    begin = time.monotonic()
    process = start(folder, before=QUICK)
    said = process.communicate(timeout=150)[1]
    assert process.returncode == 0, said
    assert time.monotonic() - begin < 110, "it would have taken two minutes"
    assert "pruned by optuna's MedianPruner: loss was 50 at step" in said
    segment = read_segment(folder.segments()[0])
    assert segment.damage is None
    assert 2 <= segment.history_count < 1200
    assert json.loads(folder.trained_file.read_text())["pruned"] is True
    # Its siblings can read what it reported.
    assert json.loads((folder.path / "reported.json").read_text())["rows"][-1]["loss"] == 50.0

    search.place_file(4).write_text(json.dumps({"run": folder.path.name, "finished": True}))
    search.ask(5)
    assert [point.state for point in search.points] == ["finished"] * 3 + ["pruned", None]


def test_an_engine_that_fails_prunes_nothing_and_is_said_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(STUDY)
    scheduler = {"engine": "optuna", "source": "study.py", "optimizer": "study"}
    short = TRAINING.replace("1200", "80")
    search = Search(tmp_path, sweep_over_x(scheduler=scheduler, command=[sys.executable, "-c", short]))
    search.ask(1)
    (tmp_path / "study.py").write_text("raise OSError('gone')\n")
    folder = RunFolder(search.folder / search.points[0].run)
    process = start(folder, before=QUICK)
    said = process.communicate(timeout=100)[1]
    assert process.returncode == 0, said
    log = folder.log_file.read_text()
    assert log.count("the engine was asked whether to prune the run, and did not say") == 1
    assert read_segment(folder.segments()[0]).history_count == 80
