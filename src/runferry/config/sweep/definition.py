"""Read and check a sweep definition; refuse what cannot work without W&B's server."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runferry.config.sweep.distributions import at_random, grid
from runferry.config.sweep.macros import check_command
from runferry.config.sweep.parameter import Parameter, Parameters, is_finite_number, quoted, read_parameters
from runferry.config.sweep.scheduler import check_metrics, check_scheduler, engine_of, find_source, section_of
from runferry.errors import ConfigError
from runferry.system.text import suggest
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

METHODS = ("grid", "random", "bayes")
MOST_RUNS = 100_000
"""Of one sweep: a dry run of so many takes 134 CPU seconds and 3.8 GB (docs/scale.md), all that a login node has."""

# `settings` is written by `wandb sweep --settings`; the others are W&B's schema (sweeps 0.3.0).
_KEYS = (
    *("program", "method", "parameters", "command", "name", "description", "metric", "project", "entity", "run_cap"),
    *("early_terminate", "controller", "apiVersion", "kind", "settings", "scheduler", "metrics"),
)
_IGNORED = {"count": "the number of runs is run_cap here, or the experiment's own count"}
"""Keys that are often written and that W&B's sweeps do not have, and what is meant."""
_NEED_A_SERVER = {"job": "W&B Launch", "image_uri": "W&B Launch"}
_METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
_IMPUTE = ("latest", "best", "worst")
_CHOICES = {
    "goal": ("minimize", "maximize"),
    "impute": _IMPUTE,
    "impute_while_running": (*_IMPUTE, "false"),
}
_HYPERBAND_KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")


@dataclass(frozen=True)
class Sweep:
    """A sweep definition that was checked."""

    definition: Mapping[str, Any]
    """As it was given."""
    where: str
    """The file or the config's key, for messages."""
    parameters: tuple[Parameter, ...]
    """None where a function of the scheduler's source names them."""
    source: str | None = None
    """The whole path of the scheduler's source file."""

    @property
    def method(self) -> str:
        """Return the method by which points are chosen: one of `METHODS`, or "custom" where an engine does."""
        return self.definition.get("method", "custom")

    @property
    def scheduler(self) -> Mapping[str, Any] | None:
        """Return W&B's section on the engine that chooses points, checked; None without one."""
        return self.definition.get("scheduler")

    @property
    def is_searched(self) -> bool:
        """Return whether results choose the points that follow, so that these are not known beforehand."""
        return self.method == "bayes" or engine_of(self.definition) != "wandb"

    @property
    def run_cap(self) -> int | None:
        """Return the most runs that the definition allows; None where it does not say."""
        return self.definition.get("run_cap")

    @property
    def metric(self) -> Mapping[str, Any] | None:
        """Return the metric to optimize: `name`, `goal` and so on; None where the definition has none."""
        return self.definition.get("metric")

    @property
    def early_terminate(self) -> Mapping[str, Any] | None:
        """Return W&B's section on stopping runs early, checked; None where none are stopped."""
        return self.definition.get("early_terminate")

    def count(self, wanted: int | None) -> int:
        """Return the number of runs: the lower of the config's `count` and the definition's `run_cap`.

        Raises
        ------
        ConfigError
            When neither says anything.
        """
        given = self._given(wanted)
        if given is None:
            message = f"{self.where}: run_cap: found nothing, expected a number of runs, since a {self.method} sweep"
            raise ConfigError(f"{message} has no end: set run_cap here, or count in the config")
        return self._limited(given)

    def _given(self, wanted: int | None) -> int | None:
        return min((number for number in (wanted, self.run_cap) if number is not None), default=None)

    def _limited(self, number: int) -> int:
        """Return a number of runs; refuse more than a start can plan."""
        if number > MOST_RUNS:
            message = f"{self.where}: found a sweep of {number:,} runs, expected {MOST_RUNS:,} at most"
            raise ConfigError(f"{message}, which a login node can plan: a lower run_cap or count, or fewer values")
        return number

    def points(self, count: int | None, seed: int) -> Iterable[Parameters]:
        """Return the parameters of every run of a grid or random sweep, in order.

        Parameters
        ----------
        count
            The most runs that the config wants.
        seed
            Of a random sweep.

        Raises
        ------
        ConfigError
            When a grid cannot be counted, a random sweep has no end, or there are too many runs.
        """
        if self.method == "random":
            return at_random(self.parameters, self.count(count), seed)
        number = math.prod(one.grid_count(f"{self.where}: parameters.{one.name}") for one in self.parameters)
        given = self._given(count)
        most = self._limited(number if given is None else min(number, given))
        return itertools.islice(grid(self.parameters, self.where), most)

    def notes(self, settings: Mapping[str, Any]) -> list[str]:
        """List what is not as the definition may mean it, each in one line.

        Parameters
        ----------
        settings
            What the config says of W&B: `project` and `entity`, which count.
        """
        found = [
            f"{self.where}: {key} is no key of a sweep and is left out"
            + (f": {why}" if (why := _IGNORED.get(key)) else "")
            for key in map(str, self.definition)
            if key not in _KEYS
        ]
        for key in ("project", "entity"):
            given, counts = self.definition.get(key), settings.get(key)
            if given is not None and given != counts:
                shown = counts or "the key's own"
                found.append(f"{self.where}: {key}: {given} is not used: the config's wandb.{key} counts ({shown})")
        for parameter in self.parameters:
            low, high = parameter.settings.get("min", 0), parameter.settings.get("max", 0)
            if parameter.distribution.removeprefix("q_").removeprefix("inv_") == "log_uniform" and low > 0:
                # As W&B's own warning: its limits are exponents.
                powers = f"exp({low}) to exp({high})"
                message = f"{self.where}: parameters.{parameter.name}: {parameter.distribution} takes {powers}"
                found.append(f"{message}; for values from {low} to {high} write {parameter.distribution}_values")
        return found

    @cached_property
    def shown(self) -> list[Parameter]:
        """List the parameters that tell the runs apart, or all where none does."""
        return [parameter for parameter in self.parameters if parameter.varies] or list(self.parameters)


def check(definition: Any, where: str) -> Sweep:
    """Read a sweep definition; refuse what is not one, or cannot be run here.

    >>> lr = {"values": [0.1, 0.01]}
    >>> sweep = check({"program": "train.py", "method": "grid", "parameters": {"lr": lr}}, "sweep.yaml")
    >>> list(sweep.points(None, seed=0))
    [{'lr': 0.1}, {'lr': 0.01}]
    >>> check({"program": "train.py", "method": "gird", "parameters": {"lr": lr}}, "sweep.yaml")
    Traceback (most recent call last):
        ...
    runferry.errors.ConfigError: sweep.yaml: method: found 'gird', expected grid, random or bayes (did you mean grid?)

    Parameters
    ----------
    definition
        What the YAML says.
    where
        The file or the config's key, for the messages.

    Raises
    ------
    ConfigError
        For the first thing that is wrong.
    """
    if not is_mapping(definition):
        raise ConfigError(f"{where}: found {quoted(definition)}, expected a W&B sweep definition (a mapping)")
    for key in definition:
        if key in _NEED_A_SERVER:
            raise ConfigError(f"{where}: {key}: found {_NEED_A_SERVER[key]}, expected a sweep that needs no server")
        # Others are left alone, as by W&B, and said in the plan: a YAML anchor stands under a key of its own.
        if key not in _KEYS and key not in _IGNORED and (meant := suggest(str(key), _KEYS)):
            known = ", ".join(_KEYS)
            raise ConfigError(f"{where}: {key}: found an unknown key, expected one of {known}{meant}")
    if "scheduler" in definition:
        check_scheduler(definition, where)
    # These engines have their own; W&B writes "custom" or nothing then.
    engine = engine_of(definition)
    method = definition.get("method", "custom")
    if method not in METHODS and not (engine != "wandb" and method == "custom"):
        method = definition.get("method")
        expected = f"{', '.join(METHODS[:-1])} or {METHODS[-1]}"
        raise ConfigError(
            f"{where}: method: found {quoted(method)}, expected {expected}{suggest(str(method), METHODS)}"
        )
    by_run: Any = section_of(definition).get("search_space")
    parameters = () if by_run else read_parameters(definition.get("parameters"), where)
    _check_cap(definition.get("run_cap"), where)
    _check_metric(definition, where)
    _check_early_terminate(definition, where)
    check_command(definition, where)
    sweep = Sweep(definition, where, parameters, find_source(definition, where))
    if method == "grid" and not sweep.is_searched:
        for parameter in parameters:
            parameter.grid_count(f"{where}: parameters.{parameter.name}")
    if sweep.is_searched and not by_run and not any(parameter.distribution != "constant" for parameter in parameters):
        why = "method is bayes" if method == "bayes" else f"{engine} searches"
        raise ConfigError(f"{where}: parameters: found constants alone, expected one to search, since {why}")
    return sweep


def _check_cap(cap: Any, where: str) -> None:
    if cap is not None and (type(cap) is not int or cap < 1):
        raise ConfigError(f"{where}: run_cap: found {quoted(cap)}, expected a number of runs, 1 or more")


def _check_metric(definition: Mapping[str, Any], where: str) -> None:
    metric = definition.get("metric")
    if "metrics" in definition:
        check_metrics(definition, where)
        return
    if metric is None:
        for needs, what in (
            (definition.get("method") == "bayes", "bayes"),
            (engine_of(definition) != "wandb", "scheduler"),
            ("early_terminate" in definition, "early_terminate"),
        ):
            if needs:
                raise ConfigError(f"{where}: metric: found nothing, expected name and goal, which {what} needs")
        return
    if not is_mapping(metric) or not isinstance(metric.get("name"), str):
        raise ConfigError(f"{where}: metric: found {quoted(metric)}, expected a mapping with name and goal")
    for key, value in metric.items():
        if key not in _METRIC_KEYS:
            known = ", ".join(_METRIC_KEYS)
            message = f"{where}: metric.{key}: found an unknown key, expected one of {known}"
            raise ConfigError(message + suggest(key, _METRIC_KEYS))
        if key in _CHOICES and value not in _CHOICES[key]:
            expected = " or ".join(_CHOICES[key])
            raise ConfigError(f"{where}: metric.{key}: found {quoted(value)}, expected {expected}")
    target = metric.get("target")
    if target is not None and not is_finite_number(target):
        raise ConfigError(f"{where}: metric.target: found {quoted(target)}, expected a number")


def _check_early_terminate(definition: Mapping[str, Any], where: str) -> None:
    section = definition.get("early_terminate")
    if section is None:
        return
    where = f"{where}: early_terminate"
    if not is_mapping(section) or section.get("type") != "hyperband":
        raise ConfigError(f"{where}: found {quoted(section)}, expected a mapping with type: hyperband")
    for key in section:
        if key not in _HYPERBAND_KEYS:
            known = ", ".join(_HYPERBAND_KEYS)
            message = f"{where}.{key}: found an unknown key, expected one of {known}"
            raise ConfigError(message + suggest(key, _HYPERBAND_KEYS))
    _check_hyperband(section, where)


def _check_hyperband(section: Mapping[str, Any], where: str) -> None:
    for key in ("min_iter", "max_iter"):
        if key in section and (type(section[key]) is not int or section[key] < 1):
            raise ConfigError(f"{where}.{key}: found {quoted(section[key])}, expected a number of iterations")
    if "min_iter" not in section and not {"max_iter", "s"} <= set(section):
        raise ConfigError(f"{where}: found neither min_iter nor max_iter with s, expected one of the two")
    for key, least in (("eta", 1), ("s", 0)):
        value = section.get(key)
        if value is not None and (not is_finite_number(value) or value <= least):
            raise ConfigError(f"{where}.{key}: found {quoted(value)}, expected a number above {least}")
    if not isinstance(section.get("strict", True), bool):
        raise ConfigError(f"{where}.strict: found {quoted(section['strict'])}, expected true or false")
