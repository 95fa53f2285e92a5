"""The errors of searches: of their definition, of their engine, of what became of them meanwhile."""

from __future__ import annotations

from typing import Any

from runferry.config.search import search, state
from runferry.config.search.engine import ask_engine
from runferry.config.sweep import definition as sweep_definition
from runferry.launch import bayes_run
from support.errors.provoking import Row, World, elsewhere, made

OPTUNA: dict[str, Any] = {
    "program": "train.py",
    "scheduler": {"engine": "optuna"},
    "metric": {"name": "loss"},
    "parameters": {"x": {"min": 0.0, "max": 1.0}},
}
GOALS = [{"name": "loss"}, {"name": "accuracy", "goal": "maximize"}]
SEARCH = "tests/workflow/test_search.py::"


def _check(**definition: Any) -> sweep_definition.Sweep:
    return sweep_definition.check({**OPTUNA, **definition}, "sweep.yaml")


def _scheduler(words: str, section: Any) -> Row:
    return Row("config/sweep/scheduler.py", words, lambda _: _check(scheduler=section))


def _metrics(words: str, metrics: Any, **more: Any) -> Row:
    definition = {"metric": None, "metrics": metrics, **more}
    return Row("config/sweep/scheduler.py", words, lambda _: _check(**definition))


def _rounds_with_an_engine(_: World) -> None:
    made({"e": {"sweep": OPTUNA, "count": 1, "runs_per_round": 1}})


def _engine_fails(_: World) -> None:
    begun = state.SearchRecord("e", "sweep.yaml", OPTUNA, "optuna", None, 0, 1, 1, {})
    ask_engine(begun, "/bin/false", do="check")


ROWS = [
    _scheduler("a mapping with engine", "optuna"),
    _scheduler("a scheduler of W&B Launch", {"job": "x"}),
    _scheduler("found an unknown key", {"engine": "optuna", "sorce": "x.py"}),
    _scheduler("{}: scheduler.engine: found {}, expected one of {}{}", {"engine": "optima"}),
    _scheduler("since that has no use for it", {"engine": "ax", "search_space": "space"}),
    _scheduler("expected a text", {"engine": "optuna", "source": 3}),
    _scheduler("the Python file that defines", {"engine": "optuna", "search_space": "space"}),
    _scheduler("or beside the definition", {"engine": "optuna", "source": "none.py", "optimizer": "study"}),
    _metrics("found it together with metric", GOALS, metric={"name": "loss"}),
    _metrics("found several goals without an engine", GOALS, method="bayes", scheduler={"engine": "wandb"}),
    _metrics("found it with early_terminate", GOALS, early_terminate={"type": "hyperband", "min_iter": 1}),
    _metrics("a list of mappings with name and goal", {"name": "loss"}),
    _metrics("{}: metrics: found {}, expected a mapping with name and goal", [{"goal": "minimize"}]),
    _metrics("metrics: goal: found", [{"name": "loss", "goal": "least"}]),
    Row("config/experiments.py", "found it with runs_per_round", _rounds_with_an_engine),
    Row("config/search/engine.py", "fails", _engine_fails),
    Row(
        "config/search/search.py",
        "is not installed in runferry's environment",
        lambda _: search.check_engine("optuna", "sweep.yaml", lambda _: False),
    ),
    Row("config/search/state.py", "found no such file", lambda world: state.read_search(world.tmp)),
    Row(
        "launch/bayes_run.py",
        "found no point of place",
        lambda world: bayes_run.run_of_place(world.tmp / "search" / "1.json"),
    ),
    elsewhere("workflow/search.py", "names no parameter", SEARCH + "test_a_source_that_fails_is_refused_in_one_line"),
    elsewhere("workflow/search.py", "of another command", SEARCH + "test_another_command_is_another_search"),
    elsewhere("workflow/search.py", "found no value of", SEARCH + "test_a_metric_that_no_run_logs_ends_the_search"),
]
