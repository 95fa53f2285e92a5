"""What W&B's pages show of `scheduler` and `metrics` is accepted, or refused in one line that says why.

The pages: docs.wandb.ai, "Configure an optimization engine" and "Define sweep configuration", as of wandb 0.31. Each
example is of one kind that they show, with its keys; names and numbers are our own.
"""

from __future__ import annotations

from typing import Any

import pytest

from runferry.config.sweep.definition import check
from runferry.errors import ConfigError

SOURCE = """
import optuna
def configure(sweep):
    return optuna.create_study(direction="minimize"), lambda study: len(study.trials) > 50
def space(trial):
    return {"optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd"])}
"""
PARAMETERS = {"lr": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.1}, "batch": {"values": [16, 32]}}
METRIC = {"name": "val_loss", "goal": "minimize"}
GOALS = [METRIC, {"name": "accuracy", "goal": "maximize"}]
FILE = {"source": "engine.py"}

ACCEPTED: dict[str, dict[str, Any]] = {
    "built-in, bayes": {"method": "bayes", "scheduler": {"engine": "wandb"}, "metric": METRIC},
    "built-in, grid": {"method": "grid", "scheduler": {"engine": "wandb"}, "parameters": {"a": {"values": [1, 2]}}},
    "built-in, random": {"method": "random", "run_cap": 5, "scheduler": {"engine": "wandb"}},
    "built-in, hyperband": {
        "method": "bayes",
        "scheduler": {"engine": "wandb"},
        "metric": METRIC,
        "early_terminate": {"type": "hyperband", "min_iter": 3},
    },
    "optuna, from the definition": {"method": "custom", "scheduler": {"engine": "optuna"}, "metric": METRIC},
    "optuna, without a method": {"scheduler": {"engine": "optuna"}, "metric": METRIC},
    "optuna, a study": {"scheduler": {"engine": "optuna", "optimizer": "configure", **FILE}, "metric": METRIC},
    "optuna, a conditional space": {
        "scheduler": {"engine": "optuna", "search_space": "space", **FILE},
        "metric": METRIC,
        "parameters": None,
    },
    "optuna, a space and a study": {
        "scheduler": {"engine": "optuna", "search_space": "space", "optimizer": "configure", **FILE},
        "metric": METRIC,
        "parameters": None,
    },
    "optuna, several goals": {"scheduler": {"engine": "optuna"}, "metrics": GOALS},
    "ax, from the definition": {"method": "custom", "scheduler": {"engine": "ax"}, "metric": METRIC},
    "ax, a client": {"scheduler": {"engine": "ax", "optimizer": "configure", **FILE}, "metric": METRIC},
    "ax, several goals": {"scheduler": {"engine": "ax"}, "metrics": GOALS},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "built-in, several goals": (
        {"method": "bayes", "scheduler": {"engine": "wandb"}, "metrics": GOALS},
        "without an engine that takes them",
    ),
    "W&B Launch's scheduler": ({"method": "custom", "scheduler": {"job": "x/y:latest"}}, "W&B Launch"),
    "no metric": ({"scheduler": {"engine": "optuna"}}, "metric: found nothing, expected name and goal"),
}


def _check(given: dict[str, Any]) -> Any:
    whole = {"program": "train.py", "parameters": PARAMETERS, **given}
    return check({key: value for key, value in whole.items() if value is not None}, "sweep.yaml")


@pytest.fixture(autouse=True)
def _with_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "engine.py").write_text(SOURCE)


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_the_pages_show_is_accepted(name):
    sweep = _check(ACCEPTED[name])
    engine = ACCEPTED[name]["scheduler"]["engine"]
    assert sweep.is_searched == (engine != "wandb" or sweep.method == "bayes")
    assert (sweep.source is None) == ("source" not in ACCEPTED[name]["scheduler"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_in_one_line(name):
    given, words = REFUSED[name]
    with pytest.raises(ConfigError, match=words) as refused:
        _check(given)
    assert "\n" not in str(refused.value)
