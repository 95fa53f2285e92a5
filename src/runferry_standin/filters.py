"""Which runs a client asks for: the filter language of `Api().runs(filters=...)`, and the order of what it gets.

The language is MongoDB's, of which the operators below are understood; others are refused. What the fields mean was
taken from the documentation of `wandb.Api.runs`; anything else about the real server's side of it is assumed.
"""

from __future__ import annotations

import json
import operator
import re
from typing import TYPE_CHECKING, Any, cast

from runferry_standin.as_served import read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.store import Record

# A filter's name for a field of a run's row. "config." and "summary_metrics." reach into those.
_COLUMNS = {
    "name": "name",
    "displayName": "display_name",
    "display_name": "display_name",
    "state": "state",
    "group": "group_name",
    "groupName": "group_name",
    "group_name": "group_name",
    "jobType": "job_type",
    "job_type": "job_type",
    "tags": "tags",
    "sweep": "sweep_name",
    "host": "host",
    "commit": "commit_hash",
    "description": "description",
    "notes": "notes",
    "created_at": "created_at",
    "createdAt": "created_at",
    "heartbeat_at": "heartbeat_at",
    "heartbeatAt": "heartbeat_at",
}


class FilterError(ValueError):
    """A filter or an order that the stand-in does not understand."""


def matching(text: str | None, most_names: int | None = None) -> Callable[[Record], bool]:
    """Return the test that a filter (JSON; None or empty accepts all) puts a run to.

    The run is its row, with `state` as a client sees it.

    Parameters
    ----------
    most_names
        In one `$in`; None for any number.

    Raises
    ------
    FilterError
        When it is not such a filter, from here or from the test.
    """
    try:
        wanted: Any = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        message = f"filters: expected JSON, found {str(text)[:80]!r}"
        raise FilterError(message) from error
    if most_names is not None and (names := _longest_in(wanted)) > most_names:
        message = f"filters: $in has {names} values, expected at most {most_names}"
        raise FilterError(message)
    return lambda run: _matches(run, wanted or {})


def _longest_in(wanted: Any) -> int:
    """Return how many values the longest `$in` of a filter has."""
    if isinstance(wanted, list):
        return max(map(_longest_in, cast("list[Any]", wanted)), default=0)
    if not isinstance(wanted, dict):
        return 0
    items = cast("dict[str, Any]", wanted).items()
    return max((len(each) if name == "$in" else _longest_in(each) for name, each in items), default=0)


def ordering(text: str | None) -> tuple[Callable[[Record], Any], bool]:
    """Return the sort key of an order such as "-created_at" or "+summary_metrics.loss", and whether it descends."""
    text = text or "+created_at"
    name = text.lstrip("+-")

    def key(run: Record) -> Any:
        value = _value(run, name)
        # Numbers before text before nothing: values of one metric can be of several kinds.
        if value is None:
            return (2, 0, run["number"])
        return (0, value, run["number"]) if isinstance(value, bool | int | float) else (1, str(value), run["number"])

    return key, text.startswith("-")


def _matches(run: Record, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        message = f"filters: expected an object, found {wanted!r}"
        raise FilterError(message)
    return all(_holds(run, name, condition) for name, condition in cast("dict[str, Any]", wanted).items())


def _holds(run: Record, name: str, condition: Any) -> bool:
    match name:
        case "$and":
            return all(_matches(run, each) for each in condition)
        case "$or":
            return any(_matches(run, each) for each in condition)
        case "$nor":
            return not any(_matches(run, each) for each in condition)
        case _:
            return _compares(_value(run, name), condition)


def _compares(value: Any, condition: Any) -> bool:
    if not isinstance(condition, dict) or not any(key.startswith("$") for key in cast("dict[str, Any]", condition)):
        return _equal(value, condition)
    return all(_operate(value, name, operand) for name, operand in cast("dict[str, Any]", condition).items())


def _operate(value: Any, name: str, operand: Any) -> bool:
    if name not in _OPERATORS:
        message = f"filters: the operator {name} is not known; known are {', '.join(_OPERATORS)}"
        raise FilterError(message)
    return _OPERATORS[name](value, operand)


def _equal(value: Any, wanted: Any) -> bool:
    # As in MongoDB, a list (tags) equals what it contains.
    return value == wanted or (isinstance(value, list) and wanted in cast("list[Any]", value))


def _orders(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(value: Any, operand: Any) -> bool:
        try:
            return value is not None and compare(value, operand)
        except TypeError:
            return False

    return holds


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda value, operand: not _equal(value, operand),
    "$in": lambda value, operand: any(_equal(value, each) for each in operand),
    "$nin": lambda value, operand: not any(_equal(value, each) for each in operand),
    "$exists": lambda value, operand: (value is not None) == bool(operand),
    "$regex": lambda value, operand: isinstance(value, str) and re.search(operand, value) is not None,
    "$not": lambda value, operand: not _compares(value, operand),
    "$lt": _orders(operator.lt),
    "$lte": _orders(operator.le),
    "$gt": _orders(operator.gt),
    "$gte": _orders(operator.ge),
}


def _value(run: Record, name: str) -> Any:
    first, _, rest = name.partition(".")
    if first == "config" and rest:
        config = read_json(run["config"])
        # config.lr and config.lr.value are the same: the server wraps each value.
        found = _reach(config, rest.removesuffix(".value").split("."))
        return cast("dict[str, Any]", found).get("value") if isinstance(found, dict) else found
    if first in ("summary_metrics", "summaryMetrics", "summary") and rest:
        summary = read_json(run["summary_metrics"])
        return summary[rest] if rest in summary else _reach(summary, rest.split("."))
    if name not in _COLUMNS:
        message = f"filters: the field {name} is not known"
        raise FilterError(message)
    value = run[_COLUMNS[name]]
    if name == "tags":
        return json.loads(value)
    return value


def _reach(value: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        found = cast("dict[str, Any]", value)
        value = found.get(key)
    return value
