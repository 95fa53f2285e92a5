from __future__ import annotations

import json
import os
import random
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runferry.errors import SegmentError
from runferry.trackers.wandb.log.framing import BLOCK_BYTES, HEADER, TransactionLog, write_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VERSIONS = ["0.22.3", "0.27.2", "0.31.0"]

# Sizes at which a record just fits into a block (7 bytes of header each), and around; some span blocks.
NEAR_BLOCK = [BLOCK_BYTES - 7 - 7 + difference for difference in range(-16, 17)]
SIZES = st.lists(st.one_of(st.integers(0, 400), st.sampled_from([*NEAR_BLOCK, 3 * BLOCK_BYTES])), max_size=20)


def records_of(sizes: list[int]) -> list[bytes]:
    source = random.Random(7)
    return [source.randbytes(size) for size in sizes]


def read(path: Path) -> tuple[list[bytes], TransactionLog]:
    log = TransactionLog(path)
    return list(log), log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run-a.wandb"


@given(sizes=SIZES)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, sizes: list[int]) -> None:
    path = tmp_path_factory.mktemp("log") / "run-a.wandb"
    records = records_of(sizes)
    assert write_log(path, iter(records)) == len(records)
    found, log = read(path)
    assert found == records
    assert not log.damage


def test_a_log_larger_than_what_is_read_at_once_is_read_whole(path: Path) -> None:
    records = records_of([1000] * 3000)
    write_log(path, records)
    assert read(path)[0] == records


def test_a_log_can_be_read_twice(path: Path) -> None:
    write_log(path, records_of([10, 20]))
    log = TransactionLog(path)
    assert list(log) == list(log) == records_of([10, 20])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_log_of_wandb_is_copied_byte_for_byte(
    wandb_python: Callable[[str], Path], tmp_path: Path, version: str
) -> None:
    script = """
import wandb
with wandb.init(project="p") as run:
    for i in range(400):
        run.log({"a": i, "b": "x" * i})
"""
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    subprocess.run([wandb_python(version), "-c", script], check=True, capture_output=True, env=environment)
    (original,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    log = TransactionLog(original)
    # wandb writes a record for a row's history and one for its summary, at the least.
    assert write_log(tmp_path / "copy.wandb", log) > 800
    assert not log.damage
    assert (tmp_path / "copy.wandb").read_bytes() == original.read_bytes()


def test_a_written_log_is_read_by_wandbs_own_reader(wandb_python: Callable[[str], Path], path: Path) -> None:
    records = records_of([*NEAR_BLOCK, 5, 100_000])
    write_log(path, records)
    # Up to 0.29 wandb had a reader in Python.
    script = """
import json, sys, zlib
from wandb.sdk.internal.datastore import DataStore
store = DataStore()
store.open_for_scan(sys.argv[1])
found = []
while (record := store.scan_data()) is not None:
    found.append([len(record), zlib.crc32(record)])
print(json.dumps(found))
"""
    command = [wandb_python("0.22.3"), "-c", script, path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [[len(record), zlib.crc32(record)] for record in records]


@pytest.mark.parametrize("content", [b"", HEADER[:3], HEADER], ids=["0 bytes", "3 bytes", "header only"])
def test_a_log_of_a_process_killed_early_has_no_records_and_no_damage(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found, log = read(path)
    assert found == []
    assert not log.damage
    assert str(log.damage) == ""


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"x", bytes(100), b":W&B\xe1\xbe\x01" + bytes(10)])
def test_a_foreign_file_is_refused_by_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SegmentError, match=r"run-a\.wandb: not a W&B transaction log"):
        read(path)


@given(sizes=SIZES.filter(bool), keep=st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_of_a_log_cut_off_anywhere_every_whole_record_is_read(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], keep: float
) -> None:
    path = tmp_path_factory.mktemp("log") / "run-a.wandb"
    records = records_of(sizes)
    # How long the file was after each record: what follows it does not change what is in front.
    ends = [len(HEADER)]
    for count in range(1, len(records) + 1):
        write_log(path, records[:count])
        ends.append(path.stat().st_size)
    size = len(HEADER) + round(keep * (ends[-1] - len(HEADER)))
    os.truncate(path, size)
    whole = max(count for count, end in enumerate(ends) if end <= size)
    found, log = read(path)
    assert found == records[:whole]
    assert log.damage.skipped_places == 0
    # Up to 6 bytes more than the record's are the padding of a block.
    assert size - ends[whole] - 6 <= log.damage.cut_off_bytes <= size - ends[whole]


@given(sizes=SIZES.filter(bool), place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_one_wrong_byte_costs_one_record_at_most(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], place: float, mask: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "run-a.wandb"
    records = records_of(sizes)
    write_log(path, records)
    content = bytearray(path.read_bytes())
    content[len(HEADER) + int(place * (len(content) - len(HEADER)))] ^= mask
    path.write_bytes(content)
    found, log = read(path)
    assert found == records or found in [records[:i] + records[i + 1 :] for i in range(len(records))]
    assert bool(log.damage) == (found != records)


def test_damage_says_how_much_and_where(path: Path) -> None:
    write_log(path, records_of([100] * 2000))
    content = bytearray(path.read_bytes())
    for place in (50_000, 150_000):
        content[place] ^= 1
    path.write_bytes(content[:-30])
    found, log = read(path)
    assert len(found) == 2000 - 3
    assert log.damage.skipped_places == 2
    assert log.damage.skipped_bytes == 2 * 107
    assert log.damage.cut_off_bytes == 107 - 30
    assert str(log.damage) == (
        "214 bytes unreadable in 2 places; the end is cut off (77 bytes of an unfinished record)"
    )


@pytest.mark.parametrize("hole", ["zeros", "noise"])
def test_after_lost_blocks_reading_goes_on_with_the_next_whole_record(path: Path, hole: str) -> None:
    records = records_of([100] * 3000)
    write_log(path, records)
    content = bytearray(path.read_bytes())
    begin, end = 2 * BLOCK_BYTES + 1000, 5 * BLOCK_BYTES + 1000
    content[begin:end] = bytes(end - begin) if hole == "zeros" else random.Random(1).randbytes(end - begin)
    path.write_bytes(content)
    found, log = read(path)
    kept = begin // 107
    assert found[: kept - 1] == records[: kept - 1]
    assert found[-1] == records[-1]
    assert set(found) <= set(records)
    assert len(found) >= 3000 - (end - begin) // 107 - 3
    assert log.damage.skipped_places == 1
    assert end - begin <= log.damage.skipped_bytes <= end - begin + 2 * 107


def test_a_record_whose_middle_is_lost_is_one_damaged_place(path: Path) -> None:
    records = records_of([10, 4 * BLOCK_BYTES, 10])
    write_log(path, records)
    content = bytearray(path.read_bytes())
    content[2 * BLOCK_BYTES + 500] ^= 1
    path.write_bytes(content)
    found, log = read(path)
    assert found == [records[0], records[2]]
    assert log.damage.skipped_places == 1
    assert log.damage.skipped_bytes == len(content) - len(HEADER) - 2 * 17


def test_the_records_of_a_damaged_log_make_a_clean_one(path: Path, tmp_path: Path) -> None:
    write_log(path, records_of([300] * 500))
    content = bytearray(path.read_bytes())
    content[70_000] ^= 1
    path.write_bytes(content[:-5])
    mended = tmp_path / "mended" / "run-a.wandb"
    write_log(mended, TransactionLog(path))
    found, log = read(mended)
    assert len(found) == 498
    assert not log.damage


def test_a_log_that_grows_while_it_is_read_gives_whole_records_only(path: Path, tmp_path: Path) -> None:
    records = records_of([5000] * 60)
    write_log(tmp_path / "all.wandb", records)
    content = (tmp_path / "all.wandb").read_bytes()
    for size in range(len(HEADER), len(content), 7919):
        path.write_bytes(content[:size])
        found = read(path)[0]
        assert found == records[: len(found)]


def test_a_log_that_could_not_be_written_leaves_nothing(path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"one"
        message = "no more"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError):
        write_log(path, broken())
    assert list(path.parent.iterdir()) == []
