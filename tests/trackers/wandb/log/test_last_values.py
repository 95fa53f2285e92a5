from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runferry.trackers.wandb.log import last_values
from runferry.trackers.wandb.log.last_values import LastValues, summary_bytes, update
from runferry.trackers.wandb.log.messages import parser

# Keys that begin one another, hold what protobuf's own bytes hold, or are too long for one byte to count.
KEYS = st.sampled_from(["a", "ab", "b", "\n", "\x12\x01a", "é", "_wandb", "k" * 130, ""])
PATHS = st.lists(KEYS, min_size=1, max_size=2).map(tuple)
VALUES = st.one_of(st.integers(), st.floats(), st.text(max_size=4), st.just("v" * 200)).map(json.dumps)
ITEMS = st.tuples(PATHS, st.one_of(VALUES, st.sampled_from(['"é"', ""])))
RECORDS = st.lists(st.tuples(st.lists(ITEMS, max_size=4), st.lists(PATHS, max_size=1)), max_size=25)


def record_of(items: list[tuple[tuple[str, ...], str]], removed: list[tuple[str, ...]], number: int) -> Any:
    record = parser("Record")(b"")
    record.num = number
    record.summary.SetInParent()
    for path, value in items:
        item = record.summary.update.add(value_json=value)
        if len(path) == 1 and number % 2:
            item.key = path[0]
        else:
            item.nested_key.extend(path)
    for path in removed:
        record.summary.remove.add(nested_key=path)
    return record


@given(records=RECORDS)
@settings(max_examples=300, deadline=None)
def test_records_that_are_not_looked_into_change_nothing(records: list) -> None:
    expected: dict[tuple[str, ...], str] = {}
    found = LastValues()
    for number, (items, removed) in enumerate(records, 1):
        record = record_of(items, removed, number * 50)
        update(expected, record.summary)
        payload = record.SerializeToString()
        if summary := summary_bytes(payload):
            assert summary == record.summary.SerializeToString()
            found.add_bytes(summary)
    # In the same order, too: of a key and what is nested in it, the one that was set last counts.
    assert list(found.texts.items()) == list(expected.items())


def test_of_a_thousand_records_that_set_the_same_keys_one_is_looked_into(monkeypatch) -> None:
    values = LastValues()
    looked: list[bytes] = []
    parse = values._parse
    monkeypatch.setattr(values, "_parse", lambda summary: looked.append(summary) or parse(summary))
    for number in range(999):
        items = [((f"metric{metric}",), str(number + metric)) for metric in range(40)]
        # wandb-core writes them in no order.
        record = record_of(items[number % 40 :] + items[: number % 40], [], 2)
        values.add_bytes(record.summary.SerializeToString())
    assert values.texts["metric39",] == "1037"
    assert len(looked) == 1


def test_bytes_that_are_no_summary_are_counted() -> None:
    values = LastValues()
    values.add_bytes(b"\xff\xff")
    assert values.texts == {}
    assert values.undecodable == 1


def test_a_key_that_is_set_anew_each_time_makes_few_patterns() -> None:
    last_values._updates_of.cache_clear()
    values = LastValues()
    for number in range(500):
        values.add_bytes(record_of([((f"key{number}",), "1")], [], 2).summary.SerializeToString())
    assert len(values.texts) == 500
    assert last_values._updates_of.cache_info().currsize <= 4
