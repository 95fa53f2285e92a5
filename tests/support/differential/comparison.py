"""Compares what arrived plainly online with what arrived through runferry, and both with what the script logged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.differential.case import Case
    from support.differential.run import Arrived

_LIKE_GENERATED = "run-"
"""How the stand-in names a run whose client gives no name."""


def differences(case: Case, online: Arrived, launched: Arrived) -> dict[str, str]:
    """Return what differs: where, and what is there online and through runferry.

    Where a script leaves the name or the group of a run open, runferry may name it: then the group is the job's.
    """
    found: dict[str, str] = {}
    if online.exit_codes != case.expected_exit_codes():
        found["online: exit codes"] = str(online.exit_codes)
    # The launcher's is a shell's: 128 + N for signal N.
    if [code if code >= 0 else 128 - code for code in online.exit_codes] != launched.exit_codes:
        found["exit codes"] = f"{online.exit_codes}, {launched.exit_codes}"
    if len(online.runs) != len(launched.runs):
        found["runs"] = f"{len(online.runs)}, {len(launched.runs)}"
    name = case.name
    for number, (there, here) in enumerate(_pairs(name, online.runs, launched.runs)):
        for where, what in _of_runs(name, there, here):
            found[f"run {number}: {where}"] = what
    for what, arrived in (("online", online), ("through runferry", launched)):
        for line in _untrue(arrived):
            found[f"{what}: truth of {line}"] = "does not arrive once and in order"
    if None in launched.receipts:
        found["receipt"] = "; ".join(launched.problems) or "none, and the sync did not say why"
    return found


def _pairs(name: str, online: list[dict[str, Any]], launched: list[dict[str, Any]]) -> Iterator[tuple[dict, dict]]:
    """Yield each run with the one that is most like it: ids that wandb makes up say nothing."""
    left = list(launched)
    for there in online:
        if not left:
            return
        here = min(left, key=lambda each: (each["id"] != there["id"], _distance(name, there, each)))
        left.remove(here)
        yield there, here


def _distance(name: str, there: dict[str, Any], here: dict[str, Any]) -> int:
    return sum(len(what) for _, what in _of_runs(name, there, here))


def _of_runs(name: str, there: dict[str, Any], here: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in there.items():
        other = here[key]
        if key == "id" or (key == "name" and value.startswith(_LIKE_GENERATED)):
            continue
        if key == "group" and value is None:
            value = name  # noqa: PLW2901 - the job's
        if isinstance(value, dict) and isinstance(other, dict):
            yield from _of_mappings(key, value, other)
        elif not _same(value, other):
            yield key, f"{_text(value)}, {_text(other)}"


def _of_mappings(key: str, there: dict[str, Any], here: dict[str, Any]) -> Iterator[tuple[str, str]]:
    missing = object()
    for name in sorted({*there, *here}):
        value, other = there.get(name, missing), here.get(name, missing)
        if value is missing or other is missing:
            where = "online only" if other is missing else "through runferry only"
            yield f"{key}.{name}", f"{where}: {_text(value if other is missing else other)}"
        elif not _same(value, other):
            yield f"{key}.{name}", f"{_text(value)}, {_text(other)}"


def _untrue(arrived: Arrived) -> list[str]:
    """Name the runs of which the server has not each row that the script logged, once and in order."""
    logged: dict[str, list[dict[str, Any]]] = {}
    for line in arrived.truth:
        logged.setdefault(line["run"], []).append(line)
    left = [run["rows"] for run in arrived.runs]
    untrue: list[str] = []
    for run, lines in logged.items():
        holder = next((rows for rows in left if _holds(rows, lines)), None)
        if holder is None:
            untrue.append(run)
        else:
            left.remove(holder)
    return untrue


def _holds(rows: list[dict[str, Any]], lines: list[dict[str, Any]]) -> bool:
    metrics = {key for line in lines for key in line["row"]}
    there = [row for row in rows if metrics & row.keys()]
    return len(there) == len(lines) and all(
        # wandb-core writes 14.0 as 14.
        line["row"] == {key: value for key, value in row.items() if key in metrics}
        and line["step"] in (None, row["_step"])
        for row, line in zip(there, lines, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    # As JSON: 1 is not 1.0 there, nor True.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _text(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= 400 else f"{text[:200]} ... {text[-200:]}"
