"""Convert the rows of a segment to lines of `wandb-history.jsonl`, as wandb's client sends them."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from runferry.system.values import decode_or_keep, is_list, is_mapping, set_at
from runferry.trackers.wandb.log.messages import path_of
from runferry.trackers.wandb.log.records import history_records

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def history_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a transaction log that can be read, nested metrics nested, with `_step`.

    Raises
    ------
    SegmentError, OSError
        As reading a `TransactionLog` does.
    """
    return map(nested_row, history_records(file))


def as_json(row: dict[str, Any]) -> str:
    """Encode a row as wandb's client does: a value that JSON does not have becomes a text."""
    return json.dumps(_plain(row))


def nested_row(record: Any) -> dict[str, Any]:
    """Return a history record as a row, nested metrics nested, with `_step`."""
    row: dict[str, Any] = {}
    for item in record.item:
        set_item(row, item)
    row.setdefault("_step", record.step.num)
    return row


def step_behind(last: int, row: dict[str, Any]) -> int:
    """Return the step that a row has on the server: its own, but always above `last`, that of the row before it.

    A later segment whose steps begin again is so moved behind the earlier one, each row to the first step that is free
    (measured: `wandb sync` 0.31 of segments of 0.22.3, 0.27.2 and 0.31.0 makes of 0..3 and 2, 3, 9, 10: 0..5, 9, 10).

    >>> step_behind(3, {"_step": 9}), step_behind(3, {"_step": 2})
    (9, 4)
    """
    return max(int(row["_step"]), last + 1)


def set_item(tree: dict[str, Any], item: Any) -> None:
    """Set the value of an item of a history, summary or config record in `tree`, nested keys nested."""
    set_at(tree, path_of(item), decode_or_keep(item.value_json))


def _plain(value: Any) -> Any:
    if is_mapping(value):
        return {key: _plain(each) for key, each in value.items()}
    if is_list(value):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
