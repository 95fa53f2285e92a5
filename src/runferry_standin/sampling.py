"""What a client gets of a history when it asks for fewer rows than there are."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

from runferry_standin.filestream import parse_line
from runferry_standin.runs import history_between

if TYPE_CHECKING:
    from runferry_standin.store import Record, Store

T = TypeVar("T")

DEFAULT_SAMPLES = 500
"""Rows that `run.history()` gives when nothing else is said (the client's default)."""


def sample(rows: list[T], count: int | None) -> list[T]:
    """At most `count` rows, evenly spread, with the first and the last among them.

    The real server samples too; by which rule is not known.
    """
    count = DEFAULT_SAMPLES if count is None else count
    if count <= 0:
        return []
    if len(rows) <= count:
        return rows
    if count == 1:
        return rows[-1:]
    return [rows[round(i * (len(rows) - 1) / (count - 1))] for i in range(count)]


def sampled_history(store: Store, run: Record, specification: str) -> list[dict[str, Any]]:
    """Rows that hold all the keys of a specification, reduced to these keys.

    Parameters
    ----------
    specification
        JSON with "keys", "samples", and perhaps "minStep" and "maxStep", which is meant inclusively (the client's
        source says so).
    """
    wanted = json.loads(specification)
    keys: list[str] = wanted.get("keys") or []
    end = wanted.get("maxStep")
    lines = history_between(store, run, wanted.get("minStep"), None if end is None else end + 1)
    rows = [row for line in lines if (row := parse_line(line)) and all(key in row for key in keys)]
    picked = sample(rows, wanted.get("samples"))
    return [{key: plain(row[key]) for key in (keys or row)} for row in picked]


def plain(value: Any) -> Any:
    """Return a value that JSON can say: NaN and infinities become the strings that the real server sends."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: plain(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [plain(each) for each in cast("list[Any]", value)]
    return value
