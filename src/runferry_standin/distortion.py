"""What becomes of history rows when a rule says that the server does not keep them as they are."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any, cast

from runferry_standin.filestream import Rows, move_cursor, parse_line, write_history
from runferry_standin.runs import HISTORY_FILE, run_by_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.faults import Rule
    from runferry_standin.store import Record, Store

OTHERS_KEY = "of_another_writer"
"""What the rows of the second writer hold besides `_step`."""


def of_lines(rules: list[Rule]) -> Callable[[int, list[str]], Rows] | None:
    """Return what becomes of lines at an offset by the rules, or None when none is about rows."""
    about_rows = [rule for rule in rules if rule.action in _DISTORT]
    if not about_rows:
        return None

    def distort(start: int, lines: list[str]) -> Rows:
        placed = list(enumerate(lines, start))
        for rule in about_rows:
            placed = _DISTORT[rule.action](placed, _picked(rule, placed))
        return placed

    return distort


def write_as_others(store: Store, run: Record, request: Any, rules: list[Rule]) -> None:
    """Write the rows of a second writer after a request with history. Called inside its transaction."""
    if HISTORY_FILE not in (cast("dict[str, Any]", request).get("files") or {}):
        return
    for rule in rules:
        if rule.action == "second_writer":
            _write_as_another(store, run, rule.value)


def _write_as_another(store: Store, run: Record, wanted: dict[str, Any]) -> None:
    now = run_by_number(store, run["number"])
    assert now is not None
    end = store.number(
        "SELECT coalesce(max(position) + 1, 0) FROM lines WHERE run = ? AND file = ?", run["number"], HISTORY_FILE
    )
    count = wanted.get("rows", 1)
    offset = wanted.get("offset")
    start = move_cursor(store, (run, HISTORY_FILE), end if offset is None else offset, count, rebase=False)
    step = start if offset is not None else (-1 if now["last_step"] is None else now["last_step"]) + 1
    lines = [json.dumps({"_step": step + i, OTHERS_KEY: 1.0}) for i in range(count)]
    changes = write_history(store, now, list(enumerate(lines, start)))
    columns = ", ".join(f"{column} = ?" for column in changes)
    store.write(f"UPDATE runs SET {columns} WHERE number = ?", *changes.values(), run["number"])


def _picked(rule: Rule, placed: Rows) -> set[int]:
    # By position and seed, so that a row that is sent again meets another fate only in another request of the rule.
    return {
        position
        for position, _ in placed
        if random.Random(f"{rule.seed}/{rule.used}/{position}").random() < float(rule.value)
    }


def _lose(placed: Rows, picked: set[int]) -> Rows:
    return [(position, line) for position, line in placed if position not in picked]


def _alter(placed: Rows, picked: set[int]) -> Rows:
    return [(position, _altered(line) if position in picked else line) for position, line in placed]


def _double(placed: Rows, picked: set[int]) -> Rows:
    """Put a neighbour in the place of each picked row: the count stays right, a row is lost and one is doubled."""
    lines = dict(placed)
    found: Rows = []
    for position, line in placed:
        neighbour = lines.get(position + 1, lines.get(position - 1))
        found.append((position, neighbour if position in picked and neighbour is not None else line))
    return found


def _altered(line: str) -> str:
    row = parse_line(line)
    for key, value in row.items():
        if not key.startswith("_") and isinstance(value, int | float) and not isinstance(value, bool):
            return json.dumps(row | {key: value + 1})
    return line


_DISTORT: dict[str, Callable[[Rows, set[int]], Rows]] = {
    "lose_rows": _lose,
    "alter_rows": _alter,
    "double_rows": _double,
}
