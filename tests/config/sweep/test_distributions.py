"""What is drawn, counted and accepted is compared with W&B's own `sweeps` package."""

from __future__ import annotations

import math

from runferry.config.sweep import definition as sweep_definition
from runferry.config.sweep.distributions import value_at
from runferry.config.sweep.parameter import read_parameters

PARAMETERS = {
    "constant": {"value": 7},
    "categorical": {"values": ["a", "b", "c"]},
    "weighted": {"values": ["a", "b", "c"], "probabilities": [0.2, 0.5, 0.3]},
    "int_uniform": {"min": -3, "max": 11},
    "uniform": {"min": -1.0, "max": 4.0},
    "q_uniform": {"distribution": "q_uniform", "min": 0, "max": 10, "q": 0.5},
    "q_uniform_whole": {"distribution": "q_uniform", "min": 0, "max": 10, "q": 2},
    "log_uniform": {"distribution": "log_uniform", "min": -9.0, "max": -2.0},
    "log_uniform_values": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
    "q_log_uniform": {"distribution": "q_log_uniform", "min": 0.0, "max": 5.0, "q": 1},
    "q_log_uniform_values": {"distribution": "q_log_uniform_values", "min": 1, "max": 500, "q": 8},
    "inv_log_uniform": {"distribution": "inv_log_uniform", "min": 1.0, "max": 4.0},
    "inv_log_uniform_values": {"distribution": "inv_log_uniform_values", "min": 1e-5, "max": 0.1},
    "normal": {"distribution": "normal", "mu": 100, "sigma": 10},
    "q_normal": {"distribution": "q_normal", "mu": 100, "sigma": 10, "q": 3},
    "log_normal": {"distribution": "log_normal"},
    "q_log_normal": {"distribution": "q_log_normal", "mu": 2, "q": 0.1},
    "beta": {"distribution": "beta", "a": 2, "b": 5},
    "beta_at_its_ends": {"distribution": "beta", "a": 0.5, "b": 0.5},
    "q_beta": {"distribution": "q_beta", "a": 2, "b": 2, "q": 0.1},
}
PROBABILITIES = [0.003, 0.0917, 0.2511, 0.4301, 0.5119, 0.6843, 0.8807, 0.9529, 0.9971]


def test_values_are_those_of_wandbs_distributions(ask_sweeps):
    theirs = ask_sweeps(
        """
import numpy
from sweeps.params import HyperParameter
parameters, probabilities = asked
def plain(v):
    return v.item() if isinstance(v, (numpy.generic, numpy.ndarray)) else v
answer = {n: [plain(HyperParameter(n, p).ppf(x)) for x in probabilities] for n, p in parameters.items()}
""",
        [PARAMETERS, PROBABILITIES],
    )
    for parameter in read_parameters(PARAMETERS, "w"):
        ours = [value_at(parameter, probability) for probability in PROBABILITIES]
        for mine, other in zip(ours, theirs[parameter.name], strict=True):
            if isinstance(other, float):
                assert math.isclose(mine, other, rel_tol=1e-9, abs_tol=1e-12), parameter.name
            else:
                assert mine == other, parameter.name
                assert type(mine) is type(other)


def test_a_grid_is_wandbs_grid_in_its_order(ask_sweeps):
    parameters = {
        "a": {"values": [1, "x", None, True]},
        "n": {
            "parameters": {"i": {"min": 2, "max": 4}, "q": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}}
        },
        "c": {"value": 3},
    }
    definition = {"method": "grid", "program": "p", "parameters": parameters}
    theirs = ask_sweeps(
        """
from sweeps import next_runs
answer = [{n: v["value"] for n, v in run.config.items()} for run in next_runs(asked, [], n=1000) if run]
""",
        definition,
    )
    assert list(sweep_definition.check(definition, "w").points(None, 0)) == theirs


def test_what_wandbs_schema_takes_of_each_distribution_is_taken(ask_sweeps):
    # Every kind of parameter with what the schema requires, and the optional keys left out.
    theirs = ask_sweeps(
        """
from sweeps.config.schema import fill_parameter
answer = {n: fill_parameter(n, p)[1] for n, p in asked.items()}
""",
        PARAMETERS,
    )
    for parameter in read_parameters(PARAMETERS, "w"):
        filled = theirs[parameter.name]
        assert parameter.distribution == filled.pop("distribution")
        assert dict(parameter.settings) == filled
