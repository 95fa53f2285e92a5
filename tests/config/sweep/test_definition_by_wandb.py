"""What the real `wandb sweep` takes is taken here: W&B's own examples, and what follows from its schema."""

from __future__ import annotations

import json
import os
import random
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from runferry.config.loading import load_yaml
from runferry.config.sweep import definition as sweep_definition
from runferry.config.sweep.parameter import DISTRIBUTIONS
from runferry.errors import ConfigError
from runferry_standin import running
from support.sweep_definitions import EXAMPLES, NEED_A_SERVER
from support.wandb_clients import NEWEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# `wandb sweep` for each file in turn, in one process: its import is half a second.
_WANDB_SWEEP = """
import json, sys
from click.testing import CliRunner
from wandb.cli import cli
answers = {}
for file in sys.argv[1:]:
    done = CliRunner().invoke(cli.sweep, ["--entity", "demo", "--project", "tests", file])
    answers[file] = [done.exit_code, done.output + str(done.exception or "")]
json.dump(answers, sys.stdout)
"""
_VIOLATIONS = """
from sweeps.config import schema_violations_from_proposed_config as check
def violations(definition):
    try:
        # That there is a newer distribution is advice, and the older one goes on working.
        return [one for one in check(definition) if "to specify limit values" not in one]
    except Exception as error:
        return [repr(error)]
answer = [violations(definition) for definition in asked]
"""


@pytest.fixture(scope="module")
def of_wandb_sweep(wandb_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `wandb sweep` says of each example: exit code and output, by the example's name."""
    folder = tmp_path_factory.mktemp("definitions")
    files = {name: folder / f"{number}.yaml" for number, name in enumerate(EXAMPLES)}
    for name, file in files.items():
        file.write_text(EXAMPLES[name])
    with running() as server:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        done = subprocess.run(
            [wandb_python(NEWEST), "-c", _WANDB_SWEEP, *files.values()],
            cwd=folder,
            env=inherited | server.environment | {"WANDB_ERROR_REPORTING": "false", "HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert server.requests()["counts"]["graphql:UpsertSweep"] == len(files)
    answers = json.loads(done.stdout.splitlines()[-1])
    return {name: answers[str(file)] for name, file in files.items()}


@pytest.fixture(scope="module")
def of_wandbs_schema(ask_sweeps) -> dict[str, list[str]]:
    """What the schema of W&B's `sweeps` package, with which its server warns, finds in each example."""
    definitions = [yaml.safe_load(text) for text in EXAMPLES.values()]
    return dict(zip(EXAMPLES, ask_sweeps(_VIOLATIONS, definitions), strict=True))


@pytest.mark.parametrize("name", EXAMPLES)
def test_wandbs_own_examples_are_taken_here_as_by_wandb_sweep(of_wandb_sweep, of_wandbs_schema, tmp_path, name):
    status, said = of_wandb_sweep[name]
    assert status == 0, said
    assert of_wandbs_schema[name] == []
    (tmp_path / "sweep.yaml").write_text(EXAMPLES[name])
    checked = sweep_definition.check(load_yaml(tmp_path / "sweep.yaml"), "sweep.yaml")
    assert checked.definition == yaml.safe_load(EXAMPLES[name])
    if checked.method != "bayes":
        assert len(list(checked.points(3, 0))) in {1, 3}


@pytest.mark.parametrize("name", NEED_A_SERVER)
def test_wandbs_examples_that_need_its_server_are_refused_with_the_reason(name):
    with pytest.raises(ConfigError, match="expected a sweep that needs no server"):
        sweep_definition.check(yaml.safe_load(NEED_A_SERVER[name]), "sweep.yaml")


# What a definition is put together from: good and bad alike.
_NUMBERS = [-3, -0.5, 0, 0.25, 1, 1.0, 2, 2.5, 8, 100]
_PARAMETER_VALUES: dict[str, list[Any]] = {
    "value": [3, "x", None, [1, 2], {"a": 1}],
    "values": [[1], [1, 2], ["a", None, True], [[1], [2]], []],
    "probabilities": [[1.0], [0.5, 0.5], [1, 0], [0.2, 0.3]],
    "distribution": [
        *("constant", "categorical", "categorical_w_probabilities", "int_uniform", "uniform", "q_uniform"),
        *("log_uniform", "log_uniform_values", "q_log_uniform", "q_log_uniform_values", "inv_log_uniform"),
        *("inv_log_uniform_values", "normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta", "other"),
    ],
    **dict.fromkeys(("min", "max", "mu", "sigma", "q", "a", "b"), _NUMBERS),
    "unknown": [1],
}
_METRICS: list[Any] = [
    {"name": "loss"},
    {"name": "loss", "goal": "maximize", "target": 1},
    {"name": "loss", "goal": "least"},
    {"name": "loss", "impute": "best", "impute_while_running": "false"},
    {"goal": "minimize"},
    "loss",
]
_EARLY_TERMINATE: list[Any] = [
    {"type": "hyperband", "min_iter": 3},
    {"type": "hyperband", "max_iter": 27, "s": 2, "eta": 2.5},
    {"type": "hyperband", "max_iter": 27},
    {"type": "hyperband", "min_iter": 1, "strict": False},
    {"type": "envelope"},
]


def _parameter(generator: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 2 and generator.random() < 0.1:
        return {"parameters": {name: _parameter(generator, depth + 1) for name in "pq"}}
    distribution = generator.choice(_PARAMETER_VALUES["distribution"])
    # What one takes, most of the time; without its name, and with another's keys, now and then.
    keys = set(DISTRIBUTIONS.get(distribution, ("min", "max")))
    keys ^= {generator.choice(list(_PARAMETER_VALUES))} if generator.random() < 0.15 else set()
    made = {key: generator.choice(_PARAMETER_VALUES[key]) for key in sorted(keys)}
    return made | {"distribution": distribution} if generator.random() < 0.7 else made


def _definition(generator: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {
        "program": "train.py",
        "method": generator.choice(["grid", "random", "bayes"]),
        "parameters": {name: _parameter(generator) for name in "xy"[: generator.randint(1, 2)]},
    }
    optional = {"metric": _METRICS, "early_terminate": _EARLY_TERMINATE, "run_cap": [1, 10, 0]}
    optional |= {"kind": ["sweep", "run"], "controller": [{"type": "local"}, {"type": "cloud"}], "name": ["n"]}
    return made | {key: generator.choice(values) for key, values in optional.items() if generator.random() < 0.3}


# The package itself, asked for two runs, and which of two others it would stop.
_ASKED_FOR_RUNS = """
import warnings
warnings.simplefilter("ignore")
from sweeps import next_runs, stop_runs
from sweeps.run import SweepRun
def of(definition):
    try:
        runs = [run for run in next_runs(definition, [], n=2) if run]
        others = [SweepRun(name=n, state="running", history=[{"loss": 1.0}] * 9) for n in "ab"]
        if "early_terminate" in definition:
            stop_runs(definition, others)
    except Exception as error:
        return repr(error)
    return len(runs)
answer = [of(definition) for definition in asked]
"""


# Two that the package takes, and that would train the same run for ever or one with no number (NaN) for a parameter.
_REFUSED_HERE_ALONE = ("found constants alone, expected one to search", "expected more than 0")


def test_what_wandbs_schema_finds_nothing_wrong_with_is_taken_or_cannot_be_run_by_anybody(ask_sweeps):
    generator = random.Random(7)
    definitions = [_definition(generator) for _ in range(1200)]
    violations = ask_sweeps(_VIOLATIONS, definitions)
    accepted = [definition for definition, found in zip(definitions, violations, strict=True) if not found]
    refused: dict[str, dict[str, Any]] = {}
    for definition in accepted:
        try:
            sweep_definition.check(definition, "w")
        except ConfigError as error:
            refused[str(error)] = definition
    assert len(accepted) - len(refused) > 100
    for why, answer in zip(refused, ask_sweeps(_ASKED_FOR_RUNS, list(refused.values())), strict=True):
        # An error of its own, instead of a number of runs.
        assert isinstance(answer, str) or any(part in why for part in _REFUSED_HERE_ALONE), (why, refused[why])
