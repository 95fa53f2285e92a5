"""Read the `parameters` of a sweep definition, checked as W&B's own schema checks them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.system.text import suggest
from runferry.system.values import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Parameters = dict[str, Any]
"""A run's parameters: name -> JSON value, in the order of the definition; nested ones are mappings."""

# Distribution -> the keys it takes, with W&B's defaults (None: has to be given). From `schema.json` of sweeps 0.3.0.
_BOUNDS: dict[str, Any] = {"min": None, "max": None}
_NORMAL: dict[str, Any] = {"mu": 0.0, "sigma": 1.0}
_BETA: dict[str, Any] = {"a": 1.0, "b": 1.0}
_STEP: dict[str, Any] = {"q": 1.0}
DISTRIBUTIONS: dict[str, dict[str, Any]] = {
    "constant": {"value": None},
    "categorical": {"values": None},
    "categorical_w_probabilities": {"values": None, "probabilities": None},
    "int_uniform": _BOUNDS,
    "uniform": _BOUNDS,
    "q_uniform": _BOUNDS | _STEP,
    "log_uniform": _BOUNDS,
    "log_uniform_values": _BOUNDS,
    "q_log_uniform": _BOUNDS | _STEP,
    "q_log_uniform_values": _BOUNDS | _STEP,
    "inv_log_uniform": _BOUNDS,
    "inv_log_uniform_values": _BOUNDS,
    "normal": _NORMAL,
    "q_normal": _NORMAL | _STEP,
    "log_normal": _NORMAL,
    "q_log_normal": _NORMAL | _STEP,
    "beta": _BETA,
    "q_beta": _BETA | _STEP,
}
_KEYS = tuple(dict.fromkeys(["parameters", "distribution", *(key for keys in DISTRIBUTIONS.values() for key in keys)]))
_POSITIVE = ("log_uniform_values", "q_log_uniform_values", "inv_log_uniform_values")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a sweep, whose name may have several levels."""

    path: tuple[str, ...]
    distribution: str
    settings: Mapping[str, Any]
    """What the distribution takes, defaults filled in."""

    @property
    def name(self) -> str:
        """Return the levels of the name joined with dots, as W&B shows them."""
        return ".".join(self.path)

    @property
    def varies(self) -> bool:
        """Return whether runs can differ in the parameter."""
        if self.distribution == "categorical":
            return len(self.settings["values"]) > 1
        return self.distribution != "constant" and self.settings.get("min", 0) != self.settings.get("max", 1)

    def grid_count(self, where: str) -> int:
        """Count the values that a grid takes from the parameter, without listing them.

        Raises
        ------
        ConfigError
            As `grid_values`.
        """
        if self.distribution == "int_uniform":
            # Of a range above 2**63 Python gives no length.
            return self.settings["max"] + 1 - self.settings["min"]
        return len(self.grid_values(where))

    def grid_values(self, where: str) -> Sequence[Any]:
        """Return the values that a grid takes from the parameter, as W&B's grid search does.

        Raises
        ------
        ConfigError
            When they cannot be counted.
        """
        settings = self.settings
        match self.distribution:
            case "constant":
                return [settings["value"]]
            case "categorical":
                return settings["values"]
            case "int_uniform":
                return range(settings["min"], settings["max"] + 1)
            case "q_uniform":
                # The end is left out, as numpy.arange leaves it.
                low, high, step = settings["min"], settings["max"], settings["q"]
                return _Steps(low, step, math.ceil((high - low) / step))
            case "uniform":
                found = f"min {quoted(settings['min'])} and max {quoted(settings['max'])}"
                message = f"{where}: found {found}, expected two whole numbers, the smaller first"
                raise ConfigError(f"{message} (a grid needs values that can be counted)")
            case _:
                message = (
                    f"{where}: found distribution {quoted(self.distribution)}, expected value, values, int_uniform"
                )
                raise ConfigError(f"{message} or q_uniform with min and max (method is grid)")


@dataclass(frozen=True)
class _Steps(Sequence[Any]):
    """Values at equal distances, each made when it is asked for: there may be very many."""

    first: float
    step: float
    number: int

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.number:
            raise IndexError(index)
        return self.first + index * self.step


def read_parameters(given: Any, where: str) -> tuple[Parameter, ...]:
    """Read the `parameters` of a definition, in order; nested ones follow one another.

    Raises
    ------
    ConfigError
        For the first thing that is wrong.
    """
    if not is_mapping(given) or not given:
        message = f"{where}: parameters: found {quoted(given)}, expected at least one parameter"
        raise ConfigError(f"{message} (an empty grid has no run)")
    return tuple(_flat(given, (), f"{where}: parameters"))


def nested(parameters: Sequence[Parameter], values: Sequence[Any]) -> Parameters:
    """Return a run's values by name, nested ones in mappings, as W&B has them."""
    run: Parameters = {}
    for parameter, value in zip(parameters, values, strict=True):
        node = run
        for level in parameter.path[:-1]:
            node = node.setdefault(level, {})
        node[parameter.path[-1]] = value
    return run


def quoted(value: Any) -> str:
    """Return a value as a message quotes it."""
    return "nothing" if value is None else f"{str(value)[:60]!r}"


def _flat(given: Mapping[str, Any], above: tuple[str, ...], where: str) -> Iterator[Parameter]:
    for name, section in given.items():
        path, here = (*above, str(name)), f"{where}.{name}"
        if is_mapping(section) and set(section) == {"parameters"}:
            inner = section["parameters"]
            if not is_mapping(inner) or not inner:
                raise ConfigError(f"{here}.parameters: found {quoted(inner)}, expected at least one parameter")
            yield from _flat(inner, path, here)
        else:
            yield _parameter(path, section, here)


def _parameter(path: tuple[str, ...], section: Any, where: str) -> Parameter:
    if not is_mapping(section):
        raise ConfigError(f"{where}: found {quoted(section)}, expected a mapping such as {{values: [1, 2]}}")
    for key in section:
        if key not in _KEYS:
            known = ", ".join(_KEYS)
            raise ConfigError(f"{where}.{key}: found an unknown key, expected one of {known}{suggest(str(key), _KEYS)}")
    distribution = section.get("distribution") or _distribution(section, where)
    if distribution not in DISTRIBUTIONS:
        known = ", ".join(DISTRIBUTIONS)
        message = f"{where}.distribution: found {quoted(distribution)}, expected one of {known}"
        raise ConfigError(message + suggest(str(distribution), DISTRIBUTIONS))
    takes = DISTRIBUTIONS[distribution]
    for key in section:
        if key not in takes and key != "distribution":
            raise ConfigError(
                f"{where}.{key}: found it with {distribution}, expected what that takes: {', '.join(takes)}"
            )
    for key, default in takes.items():
        if default is None and key not in section:
            raise ConfigError(f"{where}.{key}: found nothing, expected it, since distribution is {distribution}")
    settings = {**takes, **{key: value for key, value in section.items() if key != "distribution"}}
    _CHECKS.get(distribution, _check_numbers)(distribution, settings, where)
    return Parameter(path, distribution, settings)


def _distribution(section: Mapping[str, Any], where: str) -> str:
    """Return the distribution of a parameter without `distribution`, by the keys that it has."""
    if "value" in section:
        return "constant"
    if "values" in section:
        return "categorical_w_probabilities" if "probabilities" in section else "categorical"
    if {"min", "max"} <= set(section):
        whole = all(type(section[key]) is int for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    raise ConfigError(f"{where}: found no values, expected value, values, min and max, or a distribution")


def _check_constant(_: str, settings: dict[str, Any], where: str) -> None:
    settings["value"] = plain(settings["value"], f"{where}.value")


def _check_values(_: str, settings: dict[str, Any], where: str) -> None:
    values = settings["values"]
    if not is_list(values) or not values:
        raise ConfigError(f"{where}.values: found {quoted(values)}, expected a list with at least one value")
    settings["values"] = [plain(value, f"{where}.values") for value in values]
    if "probabilities" not in settings:
        return
    given = settings["probabilities"]
    numbers = is_list(given) and all(is_finite_number(one) and one >= 0 for one in given)
    if not numbers or len(given) != len(values) or not math.isclose(sum(given), 1.0, rel_tol=1e-5):
        message = f"{where}.probabilities: found {quoted(given)}, expected {len(values)} numbers whose sum is 1"
        raise ConfigError(message)


def _check_numbers(distribution: str, settings: dict[str, Any], where: str) -> None:
    for key, value in settings.items():
        if is_finite_number(value):
            continue
        message = f"{where}.{key}: found {quoted(value)}, expected a number"
        if isinstance(value, str) and _reads_as_number(value):
            # YAML 1.1 wants a dot in it.
            message += f" (YAML reads {value} as a text; write {value.replace('e', '.0e')})"
        raise ConfigError(message)
    if "max" in settings and settings["min"] > settings["max"]:
        found = f"min {quoted(settings['min'])} and max {quoted(settings['max'])}"
        expected = "two whole numbers, the smaller first" if distribution == "int_uniform" else "the smaller first"
        raise ConfigError(f"{where}: found {found}, expected {expected}")
    if distribution == "int_uniform" and not all(type(settings[key]) is int for key in ("min", "max")):
        found = f"min {quoted(settings['min'])} and max {quoted(settings['max'])}"
        raise ConfigError(f"{where}: found {found}, expected two whole numbers, since distribution is int_uniform")
    if distribution in _POSITIVE and settings["min"] <= 0:
        raise ConfigError(f"{where}.min: found {quoted(settings['min'])}, expected more than 0 (it is a value)")
    for key in ("q", "a", "b"):
        if key in settings and settings[key] <= 0:
            raise ConfigError(f"{where}.{key}: found {quoted(settings[key])}, expected more than 0")
    if settings.get("sigma", 0) < 0:
        raise ConfigError(f"{where}.sigma: found {quoted(settings['sigma'])}, expected 0 or more")


_CHECKS: dict[str, Callable[[str, dict[str, Any], str], None]] = {
    "constant": _check_constant,
    "categorical": _check_values,
    "categorical_w_probabilities": _check_values,
}


def plain(value: Any, where: str) -> Any:
    """Return a value in the types that JSON has.

    Raises
    ------
    ConfigError
        When JSON cannot say it.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        message = (
            f"{where}: found {value!r}, expected a text, a number, true, false, null, or a list or mapping of these"
        )
        raise ConfigError(message) from error


def is_finite_number(value: Any) -> bool:
    """Return whether a value is a finite number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
