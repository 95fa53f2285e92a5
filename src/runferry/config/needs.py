"""Order experiments by which needs which, and replace the macro for the checkpoints of a needed one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.system.values import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_MACRO = re.compile(r"\$\{needs:([A-Za-z0-9_.-]+)\}")


def macros_in(value: Any) -> Iterator[str]:
    """Yield the names in the `${needs:<name>}` of a command or of parameters."""
    if isinstance(value, str):
        if "${needs:" in value:
            yield from _MACRO.findall(value)
    elif is_list(value):
        for item in value:
            yield from macros_in(item)
    elif is_mapping(value):
        for item in value.values():
            yield from macros_in(item)


def replace_needs(text: str, path_of: Callable[[str], str]) -> str:
    """Replace each `${needs:<name>}` by the path that `path_of` returns for the name."""
    return _MACRO.sub(lambda match: path_of(match[1]), text)


def check_needs(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the experiments in an order in which each comes after those that it needs.

    Raises
    ------
    ConfigError
        When one needs an experiment that is not there, or itself by way of others.
    """
    ordered: dict[str, None] = {}
    for name in needs:
        _visit(name, needs, ordered, ())
    return list(ordered)


def _visit(name: str, needs: Mapping[str, Sequence[str]], ordered: dict[str, None], above: tuple[str, ...]) -> None:
    if name in ordered:
        return
    if name in above:
        circle = " -> ".join([*above[above.index(name) :], name])
        raise ConfigError(f"config: experiments.{name}.needs: found a circle ({circle}), expected none")
    for other in needs[name]:
        if other not in needs:
            # Only here: a job's launcher needs this module, and no YAML.
            from runferry.system.text import suggest

            known = ", ".join(needs)
            message = f"config: experiments.{name}.needs: found {other}, expected one of the experiments ({known})"
            raise ConfigError(message + suggest(other, needs))
        _visit(other, needs, ordered, (*above, name))
    ordered[name] = None
