"""Check the environment variables of an experiment, and replace the macros in their values.

A value is never a shell's: `$HOME` stays as it is. Its macros may stand anywhere in it, and are replaced on the node,
in one pass, so that a parameter's value that looks like a macro is none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runferry.config.data import MACRO as DATA
from runferry.config.data import SCRATCH
from runferry.config.sweep.macros import ARGUMENTS_FILE, ENVIRONMENT_VARIABLE, of_parameters
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MACRO = re.compile(r"\$\{([^{}]*)\}")
_NEEDS = re.compile(r"\$\{needs:[A-Za-z0-9_.-]+\}")

_OURS = ("PYTHONUNBUFFERED", "VIRTUAL_ENV")
"""Beside RUNFERRY_*: what the launcher sets for every command."""


def check_variables(given: Mapping[str, Any], where: str, *, has_data: bool) -> dict[str, str]:
    """Check an experiment's `variables` and return their values as texts.

    Parameters
    ----------
    given
        Name -> text or number, as the schema has checked them.
    where
        The key, for the message.
    has_data
        Whether the experiment stages or collects, without which there is no `${data}`.

    Raises
    ------
    ConfigError
        For a variable that runferry sets itself, and for a macro that is not known or has nothing to stand for.
    """
    for name, value in given.items():
        if name.startswith("RUNFERRY_") or name in _OURS:
            raise ConfigError(f"{where}.{name}: found a variable that runferry sets itself, expected one of your own")
        for macro in _MACRO.finditer(str(value)):
            _check_macro(macro[0], f"{where}.{name}", has_data=has_data)
    return {name: str(value) for name, value in given.items()}


def expand(text: str, parameters: Mapping[str, Any], late: Callable[[str], str]) -> str:
    """Return a variable's value with its macros replaced.

    Parameters
    ----------
    text
        As the config has it.
    parameters
        Of the run; a macro of several arguments, such as `${args}`, becomes these with a space between two.
    late
        Returns the text for a macro that only the node knows, such as `${scratch}`.
    """

    def replaced(macro: re.Match[str]) -> str:
        arguments = of_parameters(macro[1], dict(parameters))
        return late(macro[0]) if arguments is None else " ".join(arguments)

    return _MACRO.sub(replaced, text)


def _check_macro(macro: str, where: str, *, has_data: bool) -> None:
    if macro in {SCRATCH, ARGUMENTS_FILE} or ENVIRONMENT_VARIABLE.fullmatch(macro) or _NEEDS.fullmatch(macro):
        return
    if macro == DATA:
        if not has_data:
            raise ConfigError(
                f"{where}: found {DATA}, expected `stage` or `collect` in the experiment, which have it made"
            )
        return
    if of_parameters(macro[2:-1], {}) is None:
        known = f"{SCRATCH}, {DATA}, ${{envvar:NAME}}, ${{needs:NAME}}, {ARGUMENTS_FILE}, ${{args}}, ${{args_json}}"
        message = f"{where}: found the macro {macro}, expected one of {known} or another of a sweep's ${{args...}}"
        raise ConfigError(f"{message}; a variable of the node is ${{envvar:NAME}}")
