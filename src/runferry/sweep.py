"""W&B sweep definitions, without a server: from `method`, `parameters` and `command` to runs' arguments.

The words and their meaning are W&B's (https://docs.wandb.ai/guides/sweeps); the macros were compared with what the
agent of wandb 0.31 does with them.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from runferry.config import suggest
from runferry.errors import ConfigError
from runferry.json_values import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

METHODS = ("grid",)
"""The sweep methods that are there."""

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
"""W&B's own default for `command`."""

_KEYS = ("program", "method", "parameters", "command", "name", "description", "metric", "project", "entity")
_PARAMETER_KEYS = ("value", "values", "distribution", "min", "max", "q")

Parameters = dict[str, Any]
"""A run's parameters: name -> JSON value, in the order of the definition."""


def check(definition: Any, where: str) -> Mapping[str, Any]:
    """Refuse what is no sweep definition, or none that can be run here.

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
        raise ConfigError(f"{where}: found {_shown(definition)}, expected a W&B sweep definition (a mapping)")
    for key in definition:
        if key not in _KEYS:
            message = (
                f"{where}: {key}: found an unknown key, expected one of {', '.join(_KEYS)}{suggest(str(key), _KEYS)}"
            )
            raise ConfigError(message)
    method = definition.get("method")
    if method not in METHODS:
        message = (
            f"{where}: method: found {_shown(method)}, expected {' or '.join(METHODS)}{suggest(str(method), METHODS)}"
        )
        raise ConfigError(message)
    parameters = definition.get("parameters")
    if not is_mapping(parameters) or not parameters:
        message = f"{where}: parameters: found {_shown(parameters)}, expected at least one parameter"
        raise ConfigError(f"{message} (an empty grid has no run)")
    for name, parameter in parameters.items():
        _values(parameter, f"{where}: parameters.{name}")
    _check_command(definition, where)
    return definition


def grid(definition: Mapping[str, Any], where: str) -> Iterator[Parameters]:
    """Give every point of a grid: all combinations, the last parameter turning fastest, as W&B's own order is."""
    parameters: Mapping[str, Any] = definition["parameters"]
    values = [_values(parameter, f"{where}: parameters.{name}") for name, parameter in parameters.items()]
    names = [str(name) for name in parameters]
    for point in itertools.product(*values):
        yield dict(zip(names, point, strict=True))


def varying(definition: Mapping[str, Any]) -> list[str]:
    """Name the parameters that have more than one value: what tells the runs apart."""
    parameters: Mapping[str, Any] = definition["parameters"]
    return [str(name) for name, parameter in parameters.items() if len(_values(parameter, str(name))) > 1]


def command(definition: Mapping[str, Any], parameters: Parameters, where: str) -> list[str]:
    """Write out a run's command: the macros replaced, one list item an argument, nothing ever quoted or split.

    Raises
    ------
    ConfigError
        For a macro that is not known here.
    """
    arguments: list[str] = []
    for item in definition.get("command") or DEFAULT_COMMAND:
        text = str(item)
        if text.startswith("${") and text.endswith("}"):
            # As in W&B's agent, a macro is a whole item; `${` inside a longer item is left as it is.
            arguments += _macro(text[2:-1], where)(str(definition.get("program", "")), parameters)
        else:
            arguments.append(text)
    return arguments


def _values(parameter: Any, where: str) -> Sequence[Any]:
    """List the values that a grid takes from a parameter."""
    if not is_mapping(parameter):
        raise ConfigError(f"{where}: found {_shown(parameter)}, expected a mapping such as {{values: [1, 2]}}")
    for key in parameter:
        if key == "parameters":
            raise ConfigError(f"{where}: found nested parameters, expected value or values (nesting is not there yet)")
        if key not in _PARAMETER_KEYS:
            known = ", ".join(_PARAMETER_KEYS)
            message = (
                f"{where}.{key}: found an unknown key, expected one of {known}{suggest(str(key), _PARAMETER_KEYS)}"
            )
            raise ConfigError(message)
    if "value" in parameter:
        return [_plain(parameter["value"], f"{where}.value")]
    if "values" in parameter:
        values = parameter["values"]
        if not is_list(values) or not values:
            raise ConfigError(f"{where}.values: found {_shown(values)}, expected a list with at least one value")
        return [_plain(value, f"{where}.values") for value in values]
    return _counted(parameter, where)


def _counted(parameter: Mapping[str, Any], where: str) -> Sequence[int]:
    """List the whole numbers from `min` to `max`, the one distribution that a grid can go through."""
    if parameter.get("distribution") in {"int_uniform", None} and {"min", "max"} <= set(parameter):
        low, high = parameter["min"], parameter["max"]
        if type(low) is int and type(high) is int and low <= high:
            return range(low, high + 1)
        message = (
            f"{where}: found min {_shown(low)} and max {_shown(high)}, expected two whole numbers, the smaller first"
        )
        raise ConfigError(f"{message} (a grid needs values that can be counted)")
    if "distribution" in parameter:
        found = f"distribution {_shown(parameter['distribution'])}"
        raise ConfigError(
            f"{where}: found {found}, expected value, values or int_uniform with min and max (method is grid)"
        )
    raise ConfigError(f"{where}: found no values, expected value, values, or min and max")


def _plain(value: Any, where: str) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        message = (
            f"{where}: found {value!r}, expected a text, a number, true, false, null, or a list or mapping of these"
        )
        raise ConfigError(message) from error


def _check_command(definition: Mapping[str, Any], where: str) -> None:
    items = definition.get("command")
    if items is not None and (not is_list(items) or not items):
        raise ConfigError(f"{where}: command: found {_shown(items)}, expected a list of arguments")
    for item in items or DEFAULT_COMMAND:
        text = str(item)
        if not (text.startswith("${") and text.endswith("}")):
            continue
        _macro(text[2:-1], where)
        program = definition.get("program")
        if text == "${program}" and (not isinstance(program, str) or not program):
            raise ConfigError(
                f"{where}: program: found {_shown(program)}, expected the script to run, such as train.py"
            )


def _macro(name: str, where: str) -> Callable[[str, Parameters], list[str]]:
    if name not in _MACROS:
        known = ", ".join("${" + macro + "}" for macro in _MACROS)
        raise ConfigError(f"{where}: command: found the macro ${{{name}}}, expected one of {known}")
    return _MACROS[name]


def _no_boolean_flags(_program: str, parameters: Parameters) -> list[str]:
    # A true flag stands alone, a false one is left out; everything else as in ${args}.
    kept = {name: value for name, value in parameters.items() if value is not False}
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in kept.items()]


_MACROS: dict[str, Callable[[str, Parameters], list[str]]] = {
    "env": lambda _program, _parameters: ["/usr/bin/env"],
    "interpreter": lambda _program, _parameters: ["python"],
    "program": lambda program, _parameters: [program],
    "args": lambda _program, parameters: [f"--{name}={value}" for name, value in parameters.items()],
    "args_no_hyphens": lambda _program, parameters: [f"{name}={value}" for name, value in parameters.items()],
    "args_no_equals": lambda _program, parameters: [
        part for name, value in parameters.items() for part in (f"--{name}", str(value))
    ],
    "args_no_boolean_flags": _no_boolean_flags,
    "args_json": lambda _program, parameters: [json.dumps(parameters)],
    "args_append_hydra": lambda _program, parameters: [f"+{name}={value}" for name, value in parameters.items()],
    "args_override_hydra": lambda _program, parameters: [f"++{name}={value}" for name, value in parameters.items()],
}


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"{str(value)[:60]!r}"
