"""W&B sweep definitions become runs' parameters and arguments."""

from __future__ import annotations

import json
import shlex
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runferry.config.loading import load_yaml
from runferry.config.sweep import definition as sweep_definition
from runferry.config.sweep import macros
from runferry.errors import ConfigError
from support.paths import ROOT

AWKWARD = ["a b", "it's", '"', ";", "$(touch x)", "`id`", "two\nlines", "é→😀", "--flag", "a=b", "*", "\\", ""]


def _check(parameters: dict, **rest) -> sweep_definition.Sweep:
    return sweep_definition.check(
        {"program": "train.py", "method": "grid", "parameters": parameters, **rest}, "sweep.yaml"
    )


def _grid(parameters: dict, **rest) -> list[dict]:
    return list(_check(parameters, **rest).points(None, 0))


def _random(parameters: dict, count: int = 20, seed: int = 0) -> list[dict]:
    return list(_check(parameters, method="random").points(count, seed))


def test_a_grid_is_every_combination_the_last_parameter_turning_fastest():
    points = _grid({"a": {"values": [1, 2]}, "b": {"value": "x"}, "c": {"values": [True, None]}})
    assert points == [
        {"a": 1, "b": "x", "c": True},
        {"a": 1, "b": "x", "c": None},
        {"a": 2, "b": "x", "c": True},
        {"a": 2, "b": "x", "c": None},
    ]


def test_whole_numbers_between_min_and_max_are_values():
    assert [point["n"] for point in _grid({"n": {"min": 2, "max": 4}})] == [2, 3, 4]
    assert len(_grid({"n": {"distribution": "int_uniform", "min": 0, "max": 9}})) == 10


def test_the_default_command_is_wandbs():
    definition = {
        "program": "train.py",
        "method": "grid",
        "parameters": {"lr": {"value": 0.1}, "name": {"value": "a b"}},
    }
    command = macros.command(definition, {"lr": 0.1, "name": "a b"}, "sweep.yaml")
    assert command == ["/usr/bin/env", "python", "train.py", "--lr=0.1", "--name=a b"]


@pytest.mark.parametrize(
    ("macro", "arguments"),
    [
        ("${args}", ["--lr=0.1", "--deep=True", "--slow=False"]),
        ("${args_no_hyphens}", ["lr=0.1", "deep=True", "slow=False"]),
        ("${args_no_equals}", ["--lr", "0.1", "--deep", "True", "--slow", "False"]),
        ("${args_no_boolean_flags}", ["--lr=0.1", "--deep"]),
        ("${args_append_hydra}", ["+lr=0.1", "+deep=True", "+slow=False"]),
        ("${args_override_hydra}", ["++lr=0.1", "++deep=True", "++slow=False"]),
        ("${env}", ["/usr/bin/env"]),
        ("${interpreter}", ["python"]),
        ("${program}", ["train.py"]),
        ("plain ${args}", ["plain ${args}"]),
    ],
)
def test_macros_are_replaced_as_the_agent_does(macro, arguments):
    definition = {"program": "train.py", "command": [macro]}
    assert macros.command(definition, {"lr": 0.1, "deep": True, "slow": False}, "sweep.yaml") == arguments


def test_the_real_agent_makes_the_same_arguments_of_the_macros():
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    parameters = {
        "lr": 0.1,
        "deep": True,
        "slow": False,
        "text": "a b;$(x)",
        "nothing": None,
        "list": [1, 2],
        "map": {"k": 1},
    }
    theirs = create_sweep_command_args({"args": {name: {"value": value} for name, value in parameters.items()}})
    for macro in (
        "args",
        "args_no_hyphens",
        "args_no_boolean_flags",
        "args_json",
        "args_no_equals",
        "args_append_hydra",
    ):
        ours = macros.command({"program": "p", "command": ["${" + macro + "}"]}, parameters, "sweep.yaml")
        assert ours == theirs[macro]


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"])) | st.sampled_from(AWKWARD))
def test_any_text_is_one_argument_unchanged(text):
    command = macros.command({"program": "p"}, {"x": text}, "sweep.yaml")
    assert command[-1] == f"--x={text}"
    as_json = macros.command({"program": "p", "command": ["${args_json}"]}, {"x": text}, "sweep.yaml")
    assert json.loads(as_json[0]) == {"x": text}


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ([], ["sweep.yaml", "expected a W&B sweep definition"]),
        ({"method": "quantum"}, ["method", "'quantum'", "grid"]),
        ({}, ["method", "nothing"]),
        ({"method": "grid"}, ["parameters", "nothing", "at least one"]),
        ({"method": "grid", "parameters": {}}, ["parameters", "at least one"]),
        ({"method": "grid", "parameters": {"a": {}}}, ["parameters.a", "no values"]),
        ({"method": "grid", "parameters": {"a": {"values": []}}}, ["parameters.a.values", "at least one value"]),
        ({"method": "grid", "parameters": {"a": {"values": 3}}}, ["parameters.a.values", "'3'"]),
        ({"method": "grid", "parameters": {"a": 3}}, ["parameters.a", "expected a mapping"]),
        ({"method": "grid", "parameters": {"a": {"valus": [1]}}}, ["parameters.a.valus", "did you mean value"]),
        (
            {"method": "grid", "program": "p", "parameters": {"a": {"min": 0.1, "max": 1}}},
            ["parameters.a", "whole numbers"],
        ),
        ({"method": "grid", "parameters": {"a": {"min": 2, "max": 1}}}, ["parameters.a", "smaller first"]),
        (
            {"method": "grid", "program": "p", "parameters": {"a": {"distribution": "normal"}}},
            ["parameters.a", "'normal'"],
        ),
        ({"method": "grid", "parameters": {"a": {"value": 1}}}, ["program", "nothing", "train.py"]),
        (
            {"method": "grid", "parameters": {"a": {"value": float("nan")}}, "program": "p"},
            ["parameters.a.value", "nan"],
        ),
        ({"method": "grid", "parameters": {"a": {"value": 1}}, "command": ["${no}"]}, ["${no}", "${args}"]),
        ({"method": "grid", "parameters": {"a": {"value": 1}}, "command": "x"}, ["command", "list of arguments"]),
        ({"method": "grid", "paramters": {}}, ["paramters", "did you mean parameters?"]),
        ({"method": "custom", "scheduler": {"job": "x"}}, ["scheduler.job", "W&B Launch", "needs no server"]),
        ({"method": "random", "job": "x"}, ["job", "W&B Launch", "needs no server"]),
        ({"method": "bayes", "parameters": {"a": {"min": 0.0, "max": 1.0}}}, ["metric", "bayes needs"]),
        (
            {"method": "bayes", "parameters": {"a": {"value": 1}}, "metric": {"name": "x"}, "program": "p"},
            ["constants"],
        ),
        (
            {"method": "grid", "parameters": {"a": {"value": 1}}, "early_terminate": {"type": "hyperband"}},
            ["metric", "early_terminate needs"],
        ),
        (
            {
                "method": "grid",
                "parameters": {"a": {"value": 1}},
                "metric": {"name": "x"},
                "early_terminate": {"type": "hyperband"},
            },
            ["early_terminate", "min_iter", "max_iter"],
        ),
        ({"method": "grid", "parameters": {"a": {"value": 1}}, "run_cap": 0}, ["run_cap", "1 or more"]),
        ({"method": "grid", "parameters": {"a": {"value": 1}}, "metric": {"goal": "minimize"}}, ["metric", "name"]),
        (
            {"method": "grid", "parameters": {"a": {"value": 1}}, "metric": {"name": "x", "goal": "min"}},
            ["metric.goal", "minimize or maximize"],
        ),
        ({"method": "grid", "parameters": {"a": {"distribution": "nomal"}}}, ["did you mean normal"]),
        (
            {"method": "random", "parameters": {"a": {"min": "1e-4", "max": 1.0}}},
            ["parameters.a.min", "'1e-4'", "write 1.0e-4"],
        ),
        (
            {"method": "random", "parameters": {"a": {"distribution": "log_uniform_values", "min": 0, "max": 1}}},
            ["parameters.a.min", "more than 0"],
        ),
        (
            {"method": "random", "parameters": {"a": {"values": [1, 2], "probabilities": [0.5, 0.6]}}},
            ["parameters.a.probabilities", "2 numbers whose sum is 1"],
        ),
        ({"method": "random", "parameters": {"a": {"values": [1], "q": 2}}}, ["parameters.a.q", "categorical"]),
        ({"method": "grid", "parameters": {"a": {"parameters": {}}}}, ["parameters.a.parameters", "at least one"]),
    ],
)
def test_what_is_no_definition_is_refused_in_one_line(definition, said):
    with pytest.raises(ConfigError) as caught:
        sweep_definition.check(definition, "sweep.yaml")
    assert "\n" not in str(caught.value)
    for part in said:
        assert part in str(caught.value)


@given(
    st.dictionaries(
        st.text(string.ascii_letters, min_size=1),
        st.lists(st.integers(), min_size=1, max_size=4),
        min_size=1,
        max_size=3,
    )
)
def test_a_grid_has_as_many_points_as_the_product_of_its_values(values):
    points = _grid({name: {"values": given_values} for name, given_values in values.items()})
    expected = 1
    for given_values in values.values():
        expected *= len(given_values)
    assert len(points) == expected
    assert all(list(point) == list(values) for point in points)


def test_arguments_are_never_quoted_for_a_shell():
    command = macros.command({"program": "p"}, {"x": "a b"}, "sweep.yaml")
    assert command[-1] != shlex.quote(command[-1])


def test_nested_parameters_are_nested_for_the_run():
    points = _grid(
        {"optimizer": {"parameters": {"lr": {"values": [1, 2]}, "name": {"value": "sgd"}}}, "n": {"value": 3}}
    )
    assert points == [{"optimizer": {"lr": lr, "name": "sgd"}, "n": 3} for lr in (1, 2)]
    assert [one.name for one in _check({"o": {"parameters": {"p": {"values": [1, 2]}}}}).shown] == ["o.p"]


def test_a_grid_counts_q_uniform_as_wandb_does():
    assert [point["x"] for point in _grid({"x": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}})] == [
        0,
        0.25,
        0.5,
        0.75,
    ]


def test_run_cap_and_count_end_a_grid():
    parameters = {"a": {"values": [1, 2, 3, 4]}}
    assert len(_grid(parameters, run_cap=3)) == 3
    assert len(list(_check(parameters, run_cap=3).points(2, 0))) == 2


def test_a_random_sweep_without_an_end_is_refused_in_one_line():
    with pytest.raises(
        ConfigError, match="run_cap: found nothing, expected a number of runs, since a random sweep has no end"
    ):
        _check({"a": {"min": 0.0, "max": 1.0}}, method="random").points(None, 0)


def test_random_runs_follow_from_the_seed_and_more_keep_those_that_were_there():
    parameters = {"a": {"min": 0.0, "max": 1.0}, "b": {"values": ["x", "y"]}}
    assert _random(parameters, 20) == _random(parameters, 30)[:20]
    assert _random(parameters, 20, seed=1) != _random(parameters, 20)


def test_random_runs_are_these_ones():
    # Ids on a server follow from them: these values must never change.
    parameters = {"lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1}, "n": {"min": 1, "max": 9}}
    assert _random(parameters, 2) == [{"lr": 0.0238609321669, "n": 7}, {"lr": 0.000481156462573, "n": 3}]


def test_each_random_run_is_drawn_once_and_a_small_space_ends():
    points = _random({"a": {"values": [1, 2, 3]}}, 50)
    assert sorted(point["a"] for point in points) == [1, 2, 3]


def test_macros_of_the_node_are_left_to_the_launcher_and_a_value_that_looks_like_one_is_none():
    definition = {"program": "p", "command": ["a=${envvar:HOME}", "${args}", "${args_json_file}", "${needs:x}"]}
    parameters = {"x": "${envvar:HOME}"}
    assert macros.command(definition, parameters, "w") == [
        "a=${envvar:HOME}",
        "--x=${envvar:HOME}",
        "${args_json_file}",
        "${needs:x}",
    ]
    assert macros.late_macros(definition, parameters, "w") == [0, 2]


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("sweep-*.yaml")), ids=str)
def test_the_examples_are_sweeps(file):
    assert sweep_definition.check(load_yaml(file), file.name).count(None) >= 10


def test_a_large_grid_is_counted_and_not_expanded():
    """At once, whatever its size: its first points where a count is given, else a refusal that names the bound."""
    many = {"a": {"min": 0, "max": 10**30}, "b": {"distribution": "q_uniform", "min": 0, "max": 10**9, "q": 0.5}}
    sweep = _check(many)
    assert list(sweep.points(2, 0)) == [{"a": 0, "b": 0.0}, {"a": 0, "b": 0.5}]
    with pytest.raises(ConfigError, match=r"found a sweep of 2,[0-9,]+ runs, expected 100,000 at most"):
        sweep.points(None, 0)
    with pytest.raises(ConfigError, match="found a sweep of 100,001 runs"):
        _check({"a": {"min": 0, "max": 1.0}}, method="random").points(100_001, 0)
    # A count above what there is is no reason to refuse.
    assert len(list(_check({"a": {"values": [1, 2]}}, run_cap=10**9).points(None, 0))) == 2


SETTINGS = {"project": "mine", "entity": None}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"count": 5, "run_cap": 2}, "count is no key of a sweep and is left out: the number of runs is run_cap here"),
        ({"x-lr": {"values": [1]}}, "x-lr is no key of a sweep and is left out"),
        ({"project": "other"}, "project: other is not used: the config's wandb.project counts (mine)"),
        ({"entity": "me"}, "entity: me is not used: the config's wandb.entity counts (the key's own)"),
        ({"project": "mine"}, None),
    ],
)
def test_what_a_definition_says_in_vain_is_said(more, said):
    notes = _check({"a": {"values": [1]}}, **more).notes(SETTINGS)
    assert [note.removeprefix("sweep.yaml: ").startswith(said or "") for note in notes] == [True] * (said is not None)


def test_limits_of_log_uniform_that_are_meant_as_values_are_said():
    lr = {"distribution": "log_uniform", "min": 0.0001, "max": 0.1}
    (note,) = _check({"lr": lr}, method="random", run_cap=3).notes(SETTINGS)
    assert (
        "lr: log_uniform takes exp(0.0001) to exp(0.1); for values from 0.0001 to 0.1 write log_uniform_values" in note
    )
    assert _check({"lr": {**lr, "min": -9, "max": -2}}, method="random", run_cap=3).notes(SETTINGS) == []


def test_a_mistyped_key_of_a_definition_is_refused():
    with pytest.raises(ConfigError, match=r"run_cpa: found an unknown key, .*did you mean run_cap"):
        _check({"a": {"values": [1]}}, run_cpa=5)
