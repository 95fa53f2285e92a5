"""Define a search: how many points, how many of its runs at a time, and which engine chooses them.

Points are asked for when a job is about to be submitted, of which Snakemake starts no more than there are places: a
limited resource of each search. So no run waits for another one, and which of them ends first does not matter.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.config.sweep.scheduler import ENGINES
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runferry.config.sweep.parameter import Parameter

INSTALL = {"optuna": "pip install 'runferry[optuna]'", "ax": "pip install 'wandb[ax]'"}
"""What to type on the login node where an engine is missing; W&B's own has an environment of its own."""

MODULES = {"optuna": "optuna", "ax": "ax"}
"""What must be importable; the search itself is W&B's classes, which come with wandb."""

_OF_ALL = ("constant", "categorical", "int_uniform", "uniform", "log_uniform_values", "q_uniform")
"""Distributions that every engine takes; normal ones, nested parameters and the like are known to W&B's own alone."""


@dataclass(frozen=True)
class Search:
    """The points of a sweep that an engine chooses."""

    count: int
    """Of points, in all."""
    parallel: int
    """Runs at a time, at most."""
    seed: int
    engine: str
    """One of `ENGINES`."""

    def places(self, pattern: str) -> list[str]:
        """Fill `{place}` of `pattern` with each place, from 1."""
        return [pattern.replace("{place}", str(place)) for place in range(1, self.count + 1)]

    def longest_minutes(self, minutes: int, left: int) -> int:
        """Return the longest that `left` points of `minutes` each can take on the places, in minutes.

        >>> Search(40, 8, 0, "optuna").longest_minutes(60, 40)
        300
        """
        return -(-left // self.parallel) * minutes


def resource_name(experiment: str) -> str:
    """Return the name of the Snakemake resource that limits how many runs of a search there are at a time.

    >>> resource_name("my-search.2")
    'places_of_my_2d_search_2e_2'
    """
    return "places_of_" + re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):x}_", experiment)


def best_engine(parameters: Iterable[Parameter], is_installed: Callable[[str], bool] | None = None) -> str:
    """Return the engine for a bayes sweep that names none: the first of `ENGINES` that is installed and takes it."""
    if not all(len(parameter.path) == 1 and parameter.distribution in _OF_ALL for parameter in parameters):
        return "wandb"
    is_there = is_installed or is_importable
    return next(engine for engine in ENGINES if engine not in MODULES or is_there(MODULES[engine]))


def check_engine(engine: str, where: str, is_installed: Callable[[str], bool] | None = None) -> None:
    """Refuse an engine that is not installed.

    Raises
    ------
    ConfigError
        With what to install.
    """
    if engine in MODULES and not (is_installed or is_importable)(MODULES[engine]):
        message = f"{where}: scheduler.engine: found {engine}, which is not installed in runferry's environment"
        raise ConfigError(f"{message}, expected it on the login node; run: {INSTALL[engine]}")


def is_importable(module: str) -> bool:
    """Return whether Python would find a module, without loading it."""
    return importlib.util.find_spec(module) is not None
