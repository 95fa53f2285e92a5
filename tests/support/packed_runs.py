"""Experiments whose runs share jobs."""

from __future__ import annotations

from pathlib import Path

from runferry.config.experiment import Experiment
from runferry.config.run import RunDefinition

RUNS = {f"{number:012d}": RunDefinition(f"{number:012d}", "", {}, ("true",)) for number in range(10)}


def an_experiment(**more) -> Experiment:
    given = {"cores": None, "gpus": 0, "gpu": None, "memory": None, "time": 60} | more
    return Experiment(name="e", workdir=Path(), runs=RUNS, tracker_settings={}, environment=None, **given)
