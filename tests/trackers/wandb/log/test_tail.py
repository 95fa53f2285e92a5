"""Reading a log that grows: every record once, and nothing behind a place that cannot be read."""

from __future__ import annotations

import random

import pytest

from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from runferry.trackers.wandb.log.tail import LogTail


@pytest.fixture
def records() -> list[bytes]:
    chance = random.Random(5)
    sizes = [chance.choice([0, 1, 40, 400, 32_754, 32_761, 70_000]) for _ in range(60)]
    return [chance.randbytes(size) for size in sizes]


def test_a_log_that_grows_is_read_once_whatever_the_steps(tmp_path, records):
    whole = tmp_path / "whole"
    write_log(whole, records)
    content = whole.read_bytes()
    chance = random.Random(7)
    growing = tmp_path / "growing"
    growing.touch()
    read: list[bytes] = []
    position = size = 0
    while size < len(content):
        size += chance.choice([1, 3, 7, 100, 5_000, 40_000])
        growing.write_bytes(content[:size])
        # A new one each time, as after a restart.
        tail = LogTail(growing, position)
        read += tail
        position = tail.position
        assert not tail.unreadable
        assert read == list(TransactionLog(growing))
    assert read == records
    assert position == len(content)


def test_one_that_reads_on_from_the_middle_gives_what_follows(tmp_path, records):
    file = tmp_path / "log"
    write_log(file, records)
    tail = LogTail(file)
    for number, record in enumerate(tail, 1):
        assert record == records[number - 1]
        assert list(LogTail(file, tail.position)) == records[number:]


def test_nothing_is_read_behind_a_place_that_cannot_be_read(tmp_path, records):
    file = tmp_path / "log"
    write_log(file, records)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    tail = LogTail(file)
    read = list(tail)
    assert tail.unreadable
    assert read == records[: len(read)]
    assert 0 < len(read) < len(records)


def test_what_is_no_log_is_not_readable_and_an_empty_one_has_no_records(tmp_path):
    file = tmp_path / "log"
    for content, unreadable in ((b"", False), (b":W&", False), (b"something else", True)):
        file.write_bytes(content)
        tail = LogTail(file)
        assert list(tail) == []
        assert tail.unreadable == unreadable
