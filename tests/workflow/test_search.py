"""Points asked for one by one: those of W&B's own classes, whatever is killed, deleted or wrong meanwhile."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from runferry.config.search.history import best_of, outcomes
from runferry.config.search.state import append_events, points_file
from runferry.errors import ConfigError
from runferry.report.data import read_experiment
from runferry.runs.folder import RunFolder
from runferry.workflow.search import ask
from support.by_hand import ByHand
from support.searches import SEED, Search, make_experiment, sweep_over_x

optuna = pytest.importorskip("optuna")

CONDITIONAL = """
import optuna
def space(trial):
    layers = trial.suggest_int("layers", 1, 3)
    return {"layers": layers} | {f"width_{n}": trial.suggest_int(f"width_{n}", 8, 64) for n in range(layers)}
def study(sweep):
    return optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=5, n_startup_trials=3),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1),
    )
"""


def _loss(point: dict) -> float:
    return (point["x"] - 1) ** 2 + 0.1 * point["layers"]


@pytest.mark.slow
def test_points_are_those_of_one_optimizer_of_wandbs_that_lives_through_the_search(tmp_path):
    sweep = sweep_over_x()
    search, by_hand = Search(tmp_path, sweep), ByHand(sweep, optuna.samplers.TPESampler(seed=SEED))
    order = random.Random(1)
    running: dict[int, dict] = {}
    for place in range(1, 19):
        running[place] = search.ask(place)
        assert by_hand.ask(place) == running[place], place
        if len(running) == 4:
            # Any of them ends next; one in five fails. Told in the order of the points, as both are.
            for ended in sorted(order.sample(sorted(running), order.choice([1, 2]))):
                state = "failed" if order.random() < 0.2 else "finished"
                loss = _loss(running.pop(ended))
                rows = [{"loss": loss + 1 / step} for step in (1, 2)]
                for one in (search, by_hand):
                    one.end(ended, rows, state)
    assert {point.state for point in search.points} == {None, "failed", "finished"}


@pytest.mark.slow
def test_a_conditional_space_and_pruned_runs_are_replayed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.py").write_text(CONDITIONAL)
    scheduler = {"engine": "optuna", "source": "space.py", "search_space": "space", "optimizer": "study"}
    sweep = sweep_over_x(scheduler=scheduler)
    del sweep["parameters"]
    search, by_hand = Search(tmp_path, sweep), ByHand(sweep)
    for place in range(1, 8):
        point = search.ask(place)
        assert by_hand.ask(place) == point
        assert len(point) == 1 + point["layers"]
        # The median of those before is lower, from the third run on.
        state = "pruned" if place in {4, 5} else "finished"
        rows = [{"loss": (place if state == "pruned" else 0) + point["layers"]} for _ in range(3)]
        for one in (search, by_hand):
            one.end(place, rows, state)
    run = json.loads(RunFolder(search.folder / search.points[0].run).run_file.read_text())
    assert run["pruner"] == {"name": "MedianPruner"}
    assert run["name"].startswith("layers=")
    assert run["command"][1:] == [f"--{name}={value}" for name, value in run["parameters"].items()]


@pytest.mark.slow
def test_several_goals_have_a_pareto_front(tmp_path):
    metrics = [{"name": "loss", "goal": "minimize"}, {"name": "accuracy", "goal": "maximize"}]
    sweep = sweep_over_x(metrics=metrics)
    del sweep["metric"]
    search, by_hand = Search(tmp_path, sweep), ByHand(sweep, optuna.samplers.TPESampler(seed=SEED))
    given = [(3.0, 0.5), (2.0, 0.9), (1.0, 0.4), (2.5, 0.8)]
    for place, (loss, accuracy) in enumerate(given, 1):
        assert by_hand.ask(place) == search.ask(place)
        for one in (search, by_hand):
            one.end(place, [{"loss": loss, "accuracy": accuracy}])
    assert by_hand.ask(5) == search.ask(5)
    front = [outcome.point.place for outcome in outcomes(search.points, sweep) if outcome.front]
    assert front == [trial.number + 1 for trial in by_hand.optimizer.study.best_trials] == [2, 3]
    history = read_experiment(search.folder).search
    assert (history.metrics, history.goals) == (("loss", "accuracy"), ("minimize", "maximize"))
    assert [outcome.best for outcome in history.outcomes[:3]] == [(3.0, 0.5), (2.0, 0.9), (1.0, 0.9)]
    assert best_of(search.points, sweep) == "2 of 4 runs are on the Pareto front of loss and accuracy"


@pytest.mark.slow
def test_what_was_deleted_is_noticed_and_what_was_cut_off_never_counted(tmp_path):
    search = Search(tmp_path, sweep_over_x())
    for place in (1, 2):
        search.ask(place)
        search.end(place, [{"loss": float(place)}])
    search.ask(3)
    assert best_of(search.points, sweep_over_x()).startswith("best so far: loss 1 of")
    (search.folder / search.points[0].run / "attempts" / "1.json").unlink()
    (search.folder / search.points[0].run / "attempts").rmdir()
    file = points_file(search.folder)
    with file.open("a") as opened:
        opened.write('{"asked": 4, "place": 4, "run": "x"')
    search.ask(4)
    assert {"forgotten": 1} in search.events
    assert [point.place for point in search.points] == [1, 2, 3, 4]
    assert [point.state for point in search.points] == [None, "finished", None, None]
    (said,) = [line for line in search.said if "deleted" in line]
    assert "remove" in said
    assert "trained again" in said
    # Asked again, a place has the point that it had.
    before = search.events
    assert search.ask(4) == search.points[3].parameters
    assert search.events == before
    append_events(file, [])
    assert search.events == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "why"),
    [
        ("optuna.create_study(sampler=optuna.samplers.GridSampler({'x': [1., 2.], 'layers': [1]}))", "no more points"),
        # As W&B's page has it: the directions are the sweep's, and a function beside the study ends the search.
        ("optuna.create_study(directions=sweep_directions(sweep.config)), lambda it: len(it.trials) > 1", "terminator"),
    ],
)
def test_a_space_that_is_used_up_or_a_terminator_ends_the_search(tmp_path, monkeypatch, made, why):
    monkeypatch.chdir(tmp_path)
    imports = "import optuna\nfrom wandb.sdk.sweeps.scheduler.optuna import sweep_directions\n"
    (tmp_path / "made.py").write_text(f"{imports}def study(sweep):\n    return {made}\n")
    search = Search(tmp_path, sweep_over_x(scheduler={"engine": "optuna", "source": "made.py", "optimizer": "study"}))
    for place in (1, 2):
        search.ask(place)
        search.end(place, [{"loss": 1.0}])
    assert len({point.parameters["x"] for point in search.points}) == 2
    assert ask(search.place_file(3), search.said.append)
    assert json.loads(search.place_file(3).read_text())["run"] is None
    assert search.said[-1].startswith("search: the search ends after 2 points: ")
    assert why in search.said[-1]


@pytest.mark.slow
def test_places_that_several_processes_ask_for_at_the_same_moment_have_a_point_each(tmp_path):
    search, by_hand = Search(tmp_path, sweep_over_x()), ByHand(sweep_over_x(), optuna.samplers.TPESampler(seed=SEED))
    asking = "import sys, pathlib, runferry.workflow.search as s; s.ask(pathlib.Path(sys.argv[1]), print)"
    # Two controllers, of which each wants the same three places.
    places = [search.place_file(place) for place in (1, 2, 3)] * 2
    for process in [subprocess.Popen([sys.executable, "-c", asking, str(place)]) for place in places]:
        assert process.wait() == 0
    assert sorted(point.place for point in search.points) == [1, 2, 3]
    assert [event["asked"] for event in search.events] == [1, 2, 3]
    assert [point.parameters for point in search.points] == [by_hand.ask(place) for place in (1, 2, 3)]


@pytest.mark.slow
def test_a_metric_that_no_run_logs_ends_the_search(tmp_path):
    search = Search(tmp_path, sweep_over_x())
    for place in (1, 2, 3):
        search.ask(place)
        search.end(place, [{"accuracy": 1.0}])
    with pytest.raises(ConfigError, match="found no value of loss in 3 runs that finished") as refused:
        search.ask(4)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_another_command_is_another_search(tmp_path):
    search = Search(tmp_path, sweep_over_x())
    search.ask(1)
    changed = Search(tmp_path, sweep_over_x(command=["false"]))
    with pytest.raises(ConfigError, match="found runs of another command or definition"):
        changed.ask(2)


@pytest.mark.slow
def test_a_longer_search_goes_on_with_what_was_asked(tmp_path):
    search = Search(tmp_path, sweep_over_x(), count=2)
    first = search.ask(1)
    longer = Search(tmp_path, sweep_over_x(), count=5, parallel=3)
    assert longer.points[0].parameters == first
    assert longer.ask(3) == ByHandAt(3, sweep_over_x())


def ByHandAt(number: int, sweep: dict) -> dict:  # noqa: N802 - reads as the class that it uses
    by_hand = ByHand(sweep, optuna.samplers.TPESampler(seed=SEED))
    return [by_hand.ask(place) for place in range(1, number)][-1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def space(trial):\n    return {}\n", "scheduler.search_space: found that it names no parameter"),
        ("import nothing_like_this\n", r"line 1 of .*space.py: ModuleNotFoundError: No module named"),
        ("def space(trial):\n    return 1 / 0\n", r"line 2 of .*space.py: ZeroDivisionError"),
        ("def other(trial):\n    return {}\n", "has no attribute 'space'"),
        ("def space(:\n", r"line 1 of .*space.py: SyntaxError"),
    ],
)
def test_a_source_that_fails_is_refused_in_one_line(tmp_path, monkeypatch, source, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.py").write_text(source)
    sweep = sweep_over_x(scheduler={"engine": "optuna", "source": "space.py", "search_space": "space"})
    with pytest.raises(ConfigError, match=words) as refused:
        Search(tmp_path, sweep)
    assert "\n" not in str(refused.value)


def test_what_the_engine_cannot_take_is_said_before_a_job_is_submitted(tmp_path):
    sweep = sweep_over_x(parameters={"x": {"distribution": "normal", "mu": 0.0, "sigma": 1.0}})
    with pytest.raises(ConfigError, match="'normal' has no optuna equivalent"):
        Search(tmp_path, sweep)


def test_an_engine_that_is_not_installed_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setattr("runferry.config.search.search.is_importable", lambda _: False)
    for engine, install in (("optuna", "runferry[optuna]"), ("ax", "wandb[ax]")):
        with pytest.raises(ConfigError) as refused:
            make_experiment(sweep_over_x(scheduler={"engine": engine}))
        found = f"found {engine}, which is not installed in runferry's environment, expected it on the login node"
        assert found in str(refused.value)
        assert str(refused.value).endswith(f"run: pip install '{install}'")
        assert "\n" not in str(refused.value)


def test_a_bayes_sweep_without_an_engine_goes_to_the_best_that_takes_it():
    sweep = sweep_over_x(method="bayes")
    del sweep["scheduler"]
    assert make_experiment(sweep).search.engine == "optuna"
    normal = {**sweep, "parameters": {"x": {"distribution": "normal"}}}
    assert make_experiment(normal).search.engine == "wandb"
    rounds = make_experiment(sweep, runs_per_round=5)
    assert rounds.search is None
    assert rounds.rounds.number == 8


@pytest.mark.slow
def test_wandbs_own_engine_searches_what_the_others_do_not_know(tmp_path, sweeps_cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(sweeps_cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    sweep = sweep_over_x(method="bayes", parameters={"x": {"distribution": "normal", "mu": 1.0, "sigma": 1.0}})
    del sweep["scheduler"]
    searches = [Search(tmp_path / name, sweep) for name in ("one", "other")]
    for place, state in ((1, "finished"), (2, "failed"), (3, "pruned"), (4, "finished")):
        points = [search.ask(place) for search in searches]
        assert points[0] == points[1]
        for search in searches if place < 4 else ():
            search.end(place, [{"loss": points[0]["x"] ** 2}], state)
    assert len({point.parameters["x"] for point in searches[0].points}) == 4
    assert {event["engine"] for event in searches[0].events if "asked" in event} == {"wandb"}
