"""Replace the macros in the `command` of a sweep definition, as the agent of wandb 0.31 does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from runferry.config.sweep.parameter import Parameters, quoted
from runferry.errors import ConfigError
from runferry.system.values import is_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
"""W&B's own default for `command`."""

ARGUMENTS_FILE = "${args_json_file}"
"""The path of a file with the parameters as JSON, which the launcher writes on the node."""

ENVIRONMENT_VARIABLE = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
"""Replaced by the launcher, which runs where W&B's agent would."""

_OURS = re.compile(r"\$\{(?:data|scratch|needs:[A-Za-z0-9_.-]+)\}")
"""Macros of runferry's, which stand anywhere in an argument or a value."""


def command(definition: Mapping[str, Any], parameters: Parameters, where: str) -> list[str]:
    """Return a run's command with its macros replaced, one list item an argument, nothing quoted or split.

    Macros whose values only the node knows stay (see `late_macros`).

    Raises
    ------
    ConfigError
        For a macro that is not known here.
    """
    arguments: list[str] = []
    for item in definition.get("command") or DEFAULT_COMMAND:
        arguments += _expanded(item, str(definition.get("program", "")), parameters, where)
    return arguments


def late_macros(definition: Mapping[str, Any], parameters: Parameters, where: str) -> list[int]:
    """List the positions of the arguments in which the launcher has to replace a macro.

    Positions, since a parameter's value that looks like a macro is not one.
    """
    places: list[int] = []
    place = 0
    items = definition.get("command") or DEFAULT_COMMAND
    # Most commands have none, and there may be thousands of runs.
    for item in items if any(_is_late(str(item)) for item in items) else ():
        if _is_late(str(item)):
            places.append(place)
        place += len(_expanded(item, "", parameters, where))
    return places


def check_command(definition: Mapping[str, Any], where: str) -> None:
    """Refuse a command that is not a list, has an unknown macro, or needs a `program` that is not given.

    Raises
    ------
    ConfigError
        For the first thing that is wrong.
    """
    items = definition.get("command")
    if items is not None and (not is_list(items) or not items):
        raise ConfigError(f"{where}: command: found {quoted(items)}, expected a list of arguments")
    for item in items or DEFAULT_COMMAND:
        _expanded(item, "", {}, where)
        program = definition.get("program")
        if str(item) == "${program}" and (not isinstance(program, str) or not program):
            raise ConfigError(
                f"{where}: program: found {quoted(program)}, expected the script to run, such as train.py"
            )


def of_parameters(name: str, parameters: Parameters) -> list[str] | None:
    """Return the arguments that a macro such as `args` makes of a run's parameters; None for any other macro."""
    # The others are words of a command: its program, its interpreter.
    return _MACROS[name]("", parameters) if name in _MACROS and name.startswith("args") else None


def _expanded(item: Any, program: str, parameters: Parameters, where: str) -> list[str]:
    text = str(item)
    # As in W&B's agent, a macro is a whole item; `${` inside a longer item is left as it is.
    if not (text.startswith("${") and text.endswith("}")):
        return [text]
    if _is_late(text) or _OURS.fullmatch(text):
        return [text]
    name = text[2:-1]
    if name not in _MACROS:
        known = ", ".join("${" + macro + "}" for macro in (*_MACROS, "args_json_file", "envvar:NAME"))
        raise ConfigError(f"{where}: command: found the macro ${{{name}}}, expected one of {known}")
    return _MACROS[name](program, parameters)


def _is_late(text: str) -> bool:
    return text == ARGUMENTS_FILE or ENVIRONMENT_VARIABLE.search(text) is not None


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
