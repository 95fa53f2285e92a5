"""The errors of sweep definitions and of tables of runs."""

from __future__ import annotations

from typing import Any

from runferry.config.sweep import definition as sweep_definition
from runferry.config.table import read_table
from runferry.workflow import sweeps_package
from support.errors.provoking import Row, World

Number = dict[str, Any]
ONE: Number = {"lr": {"value": 1}}
BAYES: Number = {
    "method": "bayes",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"lr": {"values": [1]}},
}


def _check(**definition: Any) -> sweep_definition.Sweep:
    return sweep_definition.check(
        {"program": "train.py", "method": "grid", "parameters": ONE, **definition}, "sweep.yaml"
    )


def _parameter(**section: Any) -> sweep_definition.Sweep:
    return _check(method="random", parameters={"a": section})


def _definition(words: str, **definition: Any) -> Row:
    return Row("config/sweep/definition.py", words, lambda _: _check(**definition))


def _of_parameter(words: str, section: Any, method: str = "random") -> Row:
    return Row("config/sweep/parameter.py", words, lambda _: _check(method=method, parameters={"a": section}))


def _early(words: str, section: Any) -> Row:
    return _definition(words, metric={"name": "loss", "goal": "minimize"}, early_terminate=section)


def _table(words: str, content: str | bytes, name: str = "runs.csv") -> Row:
    return Row("config/table.py", words, lambda world: read_table(world.file(name, content)))


def _no_answer(world: World) -> None:
    world.patch.setattr(sweeps_package, "find_python", lambda _: "/bin/false")
    sweeps_package.next_runs({}, [], 1, 0, print)


def _no_python(world: World) -> None:
    world.patch.setattr(sweeps_package, "NEWEST_PYTHON", (3, 10))
    world.patch.setenv("PATH", str(world.tmp))
    sweeps_package.find_python(print)


def _no_index(world: World) -> None:
    world.patch.setenv("XDG_CACHE_HOME", str(world.tmp))
    world.patch.setattr(sweeps_package, "_base_python", lambda: str(world.tmp / "no-python"))
    sweeps_package.find_python(print)


ROWS = [
    Row("config/sweep/definition.py", "a W&B sweep definition", lambda _: sweep_definition.check([], "sweep.yaml")),
    _definition("a sweep that needs no server", job="x"),
    _definition("{}: {}: found an unknown key", paramters={}),
    _definition("method: found {}, expected {}", method="quantum"),
    Row("config/sweep/definition.py", "found a sweep of {} runs", lambda _: _check(method="random").points(10**9, 0)),
    _definition("found constants alone", **{**BAYES, "parameters": ONE}),
    _definition("run_cap: found {}, expected a number of runs", run_cap=0),
    _definition("metric: found nothing", method="bayes"),
    _definition("expected a mapping with name and goal", metric={"goal": "minimize"}),
    _definition("metric.{}: found an unknown key", metric={"name": "loss", "gaol": "minimize"}),
    _definition("metric.{}: found {}, expected", metric={"name": "loss", "goal": "min"}),
    _definition("metric.target", metric={"name": "loss", "goal": "minimize", "target": "x"}),
    _early("early_terminate: found {}, expected a mapping", {"type": "other"}),
    _early("early_terminate.{}: found an unknown key", {"type": "hyperband", "min_itr": 1}),
    _early("a number of iterations", {"type": "hyperband", "min_iter": 0}),
    _early("neither min_iter nor max_iter", {"type": "hyperband"}),
    _early("a number above", {"type": "hyperband", "min_iter": 1, "eta": 1}),
    _early("strict: found", {"type": "hyperband", "min_iter": 1, "strict": "yes"}),
    Row("config/sweep/definition.py", "run_cap: found nothing", lambda _: _parameter(values=[1]).points(None, 0)),
    Row("config/sweep/macros.py", "a list of arguments", lambda _: _check(command="x")),
    Row("config/sweep/macros.py", "program: found", lambda _: _check(program=None)),
    Row("config/sweep/macros.py", "found the macro", lambda _: _check(command=["${no}"])),
    Row("config/sweep/parameter.py", "(an empty grid has no run)", lambda _: _check(parameters={})),
    _of_parameter("{}.parameters: found", {"parameters": {}}),
    _of_parameter("a mapping such as", 3),
    _of_parameter("found an unknown key", {"valus": [1]}),
    _of_parameter("distribution: found {}, expected one of", {"distribution": "nomal", "values": [1]}),
    _of_parameter("found it with", {"values": [1], "q": 1}),
    _of_parameter("found nothing, expected it", {"distribution": "uniform", "min": 1}),
    _of_parameter("found no values", {"min": 1}),
    _of_parameter("values: found {}, expected a list", {"values": 3}),
    _of_parameter("numbers whose sum is 1", {"values": [1, 2], "probabilities": [0.5, 0.6]}),
    _of_parameter("{}.{}: found {}, expected a number", {"min": "1e-4", "max": 1}),
    _of_parameter("found min {} and max {}, expected {}", {"min": 2, "max": 1}),
    _of_parameter("since distribution is int_uniform", {"distribution": "int_uniform", "min": 1.5, "max": 2}),
    _of_parameter("(it is a value)", {"distribution": "log_uniform_values", "min": 0, "max": 1}),
    _of_parameter("{}.{}: found {}, expected more than 0", {"distribution": "q_uniform", "min": 1, "max": 2, "q": 0}),
    _of_parameter("sigma: found", {"distribution": "normal", "mu": 0, "sigma": -1}),
    _of_parameter("a text, a number, true", {"value": float("nan")}),
    Row(
        "config/sweep/parameter.py", "(a grid needs values", lambda _: _check(parameters={"a": {"min": 0.1, "max": 1}})
    ),
    Row(
        "config/sweep/parameter.py", "(method is grid)", lambda _: _check(parameters={"a": {"distribution": "normal"}})
    ),
    Row("workflow/sweeps_package.py", "found no answer", _no_answer),
    Row("workflow/sweeps_package.py", "for which numpy below 2 has no wheel", _no_python),
    Row("workflow/sweeps_package.py", "could not be built", _no_index),
    _table("found a file that ends with", "", "runs.xlsx"),
    Row("config/table.py", "found none that can be read", lambda world: read_table(world.tmp / "none.csv")),
    _table("found bytes that are not", b"a\n\xff\n"),
    _table("found a table that cannot be read", 'a\n"x\n'),
    _table("line 1: found", "a,a\n1,2\n"),
    _table("found {} cells", "a,b\n1,2\n3\n"),
    _table("found the run of line", "a,b\n1,2\n1,2\n"),
    _table("found no row", "a,b\n"),
]
