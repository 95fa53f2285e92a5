"""Rows, summaries and configs as a server may give them back: not always the text that it was sent."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from runferry_standin.sampling import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.behaviour import Behaviour

_NOT_FINITE = re.compile(r"\b(?:NaN|Infinity)\b")

LARGEST_EXACT = 2**53
"""The largest integer up to which a double holds every one."""


def read_json(text: str | None) -> dict[str, Any]:
    """Return a JSON object; empty when it is none, or is nested deeper than can be read."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def row(behaviour: Behaviour, line: str) -> str:
    """Return a history or events line as the server gives it: NaN and infinities as strings (read: wandb/sweeps 32)."""
    changes: list[Callable[[Any], Any]] = []
    if _NOT_FINITE.search(line):
        changes.append(plain)
    if behaviour.integers == "double":
        changes.append(doubles)
    return _changed(line, changes)


def summary(behaviour: Behaviour, text: str | None) -> str:
    """Return a summary as the server gives it."""
    changes: list[Callable[[Any], Any]] = []
    if behaviour.summary_nan != "kept" and _NOT_FINITE.search(text or ""):
        changes.append(plain if behaviour.summary_nan == "text" else nulls)
    if behaviour.integers == "double":
        changes.append(doubles)
    if behaviour.summary_dots is not None:
        deepest = behaviour.summary_dots
        changes.append(lambda value: cut(value, deepest))
    return _changed(text or "{}", changes)


def config(behaviour: Behaviour, text: str | None) -> str:
    """Return a config as the server gives it."""
    return _changed(text or "{}", [doubles] if behaviour.integers == "double" else [])


def doubles(value: Any) -> Any:
    """Return the value with each integer that a double cannot hold as the nearest that it can."""
    if isinstance(value, int) and abs(value) > LARGEST_EXACT:
        try:
            # As JavaScript and Go write a double that has no fraction.
            return int(float(value))
        except OverflowError:
            return None
    return _inside(value, doubles)


def nulls(value: Any) -> Any:
    """Return the value with None for NaN and infinities."""
    if isinstance(value, float) and plain(value) != value:
        return None
    return _inside(value, nulls)


def cut(value: Any, dots: int) -> Any:
    """Return the value without what is nested deeper than so many dots: `{"a": {"b": 1}}` has one, in a.b."""
    if not isinstance(value, dict):
        return value
    kept: dict[str, Any] = {}
    for key, each in cast("dict[str, Any]", value).items():
        if not isinstance(each, dict):
            kept[key] = each
        elif dots > 0:
            kept[key] = cut(each, dots - 1)
    return kept


def _inside(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: change(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [change(each) for each in cast("list[Any]", value)]
    return value


def _changed(text: str, changes: list[Callable[[Any], Any]]) -> str:
    if not changes:
        return text
    try:
        value: Any = json.loads(text)
        for change in changes:
            value = change(value)
        return json.dumps(value)
    except (ValueError, RecursionError):
        return text
