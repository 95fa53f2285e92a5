"""When the server holds what the disk holds, and when it does not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from runferry.sync.wandb.comparison import differences
from runferry.sync.wandb.local import OnDisk
from runferry.trackers.wandb.log.records import LoggedArtifact
from runferry.trackers.wandb.log.segment import Segment
from runferry.trackers.wandb.queries import RunOnServer, VersionOnServer

SEGMENT = Segment(
    name="offline-run-1",
    folder=Path("offline-run-1"),
    file=Path("offline-run-1/run-r.wandb"),
    size_bytes=1,
    run_id="r",
    history_count=10,
    last_step=9,
    summary={"loss": 0.5, "_runtime": 3, "nested": {"a": 1}},
    exit_code=0,
)
DISK = OnDisk((SEGMENT,))
SERVER = RunOnServer("finished", 10, 9, {"loss": 0.5, "nested": {"a": 1}, "_runtime": 4, "more": True})


def test_nothing_differs_where_both_say_the_same():
    assert differences(DISK, SERVER) == []


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (None, "no such run"),
        (replace(SERVER, history_lines=9), "the server has 9 history lines, the disk 10"),
        (replace(SERVER, history_lines=20), "the server has 20 history lines, the disk 10"),
        (replace(SERVER, last_step=8), "the server's last step is 8, the disk's 9"),
        (replace(SERVER, last_step=None), "the server's last step is None, the disk's 9"),
        (replace(SERVER, summary={"loss": 0.4, "nested": {"a": 1}}), "last value of loss is 0.4, the disk's 0.5"),
        (replace(SERVER, summary={"loss": 0.5}), "last value of nested"),
        (replace(SERVER, summary={"loss": 0.5, "nested": {"a": 2}}), "last value of nested"),
        (replace(SERVER, state="running"), "the server says running, the disk finished"),
        (replace(SERVER, state="crashed"), "the server says crashed, the disk finished"),
    ],
)
def test_what_differs_is_named(there, said):
    (found,) = differences(DISK, there)
    assert said in found


@pytest.mark.parametrize("state", ["failed", "crashed", "killed"])
def test_a_run_that_failed_may_be_called_so_in_several_ways(state):
    failed = OnDisk((replace(SEGMENT, exit_code=1),))
    assert differences(failed, replace(SERVER, state=state)) == []
    assert differences(failed, SERVER) == ["the server says finished, the disk failed"]


def test_a_run_without_an_exit_record_failed():
    killed = OnDisk((replace(SEGMENT, exit_code=None),))
    assert killed.state == "failed"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (float("nan"), "NaN"),
        (float("nan"), float("nan")),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (1, 1.0),
    ],
)
def test_numbers_that_json_does_not_have_are_the_same_as_their_names(ours, theirs):
    disk = OnDisk((replace(SEGMENT, summary={"x": ours}),))
    assert differences(disk, replace(SERVER, summary={"x": theirs})) == []


def test_infinity_is_not_minus_infinity():
    disk = OnDisk((replace(SEGMENT, summary={"x": float("inf")}),))
    assert len(differences(disk, replace(SERVER, summary={"x": "-Infinity"}))) == 1


def test_several_segments_count_together_and_the_last_one_says_how_it_ended():
    second = replace(SEGMENT, history_count=5, first_step=20, last_step=24, summary={"loss": 0.1})
    disk = OnDisk((replace(SEGMENT, exit_code=1), second))
    assert disk.history_lines == 15
    assert disk.state == "finished"
    assert disk.summary["loss"] == 0.1
    assert disk.last_step == 24


FIVE_DEEP = {"a": {"b": {"c": {"d": {"e": 1}, "f": 2}}}}


@pytest.mark.parametrize(
    ("ours", "theirs", "equal"),
    [
        (2**53 + 1, 2**53, True),
        (2**53 + 1, 2**53 + 2, False),
        (2**127, 1.7014118346046923e38, True),
        (2**63 + 5, 9.223372036854776e18, True),
        (7, 7.5, False),
        ([2**53 + 1], [2**53], True),
        (math.nan, None, True),
        ([math.inf], [None], True),
        (0.0, None, False),
        ("NaN", None, False),
        (FIVE_DEEP, {"a": {"b": {"c": {"d": {}, "f": 2}}}}, True),
        (FIVE_DEEP, {"a": {"b": {"c": {"f": 2}}}}, True),
        (FIVE_DEEP, {"a": {"b": {"c": {"d": {"e": 2}, "f": 2}}}}, False),
        (FIVE_DEEP, {"a": {"b": {"c": {"d": {"e": 1}}}}}, False),
        (FIVE_DEEP, None, False),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, None, True),
        ({"a": 1}, None, False),
    ],
)
def test_a_summary_is_compared_as_far_as_the_server_can_keep_it(ours, theirs, equal):
    disk = OnDisk((replace(SEGMENT, summary={"x": ours}),))
    assert (differences(disk, replace(SERVER, summary={"x": theirs} if theirs is not None else {})) == []) is equal


def test_a_config_may_not_lose_a_nan_or_what_is_deep():
    for ours, theirs in ((math.nan, None), (FIVE_DEEP, {"a": {"b": {"c": {"d": {}, "f": 2}}}})):
        disk = OnDisk((replace(SEGMENT, config={"x": ours}),))
        assert differences(disk, replace(SERVER, config={"x": theirs}))


def test_what_is_long_is_shown_in_short():
    disk = OnDisk((replace(SEGMENT, summary={"x": "y" * 8_000_000}),))
    (line,) = differences(disk, SERVER)
    assert len(line) < 500
    assert "(8,000,002 characters)" in line


def test_each_increment_of_a_table_is_a_version_on_the_server():
    # Its digest there is over those before it too.
    logged = tuple(LoggedArtifact("t", "run-k-incr-table", f"ours{n}", incremental=True) for n in range(3))
    disk = OnDisk((replace(SEGMENT, artifacts=logged),))
    versions = {("run-k-incr-table", f"theirs{n}"): VersionOnServer(f"theirs{n}") for n in range(3)}
    whole = replace(SERVER, files={}, artifacts=versions)
    assert differences(disk, whole) == []
    said = "the artifact run-k-incr-table has 2 complete versions on the server, the disk 3"
    assert differences(disk, replace(whole, artifacts=dict([*versions.items()][:2]))) == [said]
