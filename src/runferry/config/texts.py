"""Refuse texts that neither a command line nor a tracker can take."""

from __future__ import annotations

from typing import Any

from runferry.errors import ConfigError
from runferry.system.values import is_list, is_mapping


def check_texts(value: Any, where: str) -> None:
    r"""Check every text in a value read from YAML, JSON or a table.

    Parameters
    ----------
    value
        A text, a list, a mapping, or anything else, in which there is none.
    where
        What the message begins with, such as "config".

    Raises
    ------
    ConfigError
        For the first text with a NUL, at which the arguments and variables of a process end, or with a lone
        surrogate (as `"\ud800"` in YAML), which is no character.
    """
    if isinstance(value, str):
        if found := _unusable(value):
            raise ConfigError(f"{where}: found {value[:80]!a}, a text with {found}, expected one without")
    elif is_mapping(value):
        for key, each in value.items():
            check_texts(key, f"{where}: the key {key!a}")
            check_texts(each, f"{where}.{key}")
    elif is_list(value):
        for number, each in enumerate(value):
            check_texts(each, f"{where}.{number}")


def _unusable(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a lone surrogate"
    return None
