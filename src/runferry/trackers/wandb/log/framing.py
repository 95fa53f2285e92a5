"""Convert a W&B transaction log, `run-<id>.wandb`, from bytes on disk to records and back.

The format is LevelDB's log format with a header of W&B's own in front (seen in files of wandb 0.22 to 0.31):

- 7 bytes: `:W&B`, u16 0xBEE1, u8 version 0; integers are little-endian throughout;
- blocks of 32 KiB, counted from the start of the file, so that the first one holds the header too;
- in a block, chunks: u32 CRC-32 of type and payload, u16 length of the payload, u8 type, payload. A chunk
  never crosses a block's end; fewer than 7 bytes left at the end of a block are zero;
- a record is one chunk (full), or a first, any number of middle and a last one.

The meaning of a record is the subject of `runferry.trackers.wandb.log.segment`.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, BinaryIO, cast
from zlib import crc32

from runferry.errors import SegmentError
from runferry.system.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK_BYTES = 32 * 1024
CHUNK_HEADER = struct.Struct("<IHB")

FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
# The CRC of each type alone: the payload's is continued from it, so that the two need not be joined.
_TYPE_CRC = [crc32(bytes([kind])) for kind in range(5)]
_SOME_TYPE = re.compile(rb"[\x01-\x04]")
_unpack: Callable[[bytes, int], tuple[int, int, int]] = CHUNK_HEADER.unpack_from
# A whole number of blocks is read at once: fewer system calls, and memory stays small for a file of any size.
_READ_BYTES = 32 * BLOCK_BYTES


@dataclass
class LogDamage:
    """The unreadable parts of a transaction log; false when everything could be read.

    Attributes
    ----------
    skipped_bytes : int
        Bytes inside the log that belong to no readable record.
    skipped_places : int
        In how many places they lie: at least so many records are lost; the framing does not tell how many
        more.
    cut_off_bytes : int
        Bytes of a last record whose end is missing: the process was killed, the disk was full, or the file is
        still being written.
    """

    skipped_bytes: int = 0
    skipped_places: int = 0
    cut_off_bytes: int = 0

    def __bool__(self) -> bool:
        """Whether anything could not be read."""
        return bool(self.skipped_places or self.cut_off_bytes)

    def skip(self, size: int, *, new_place: bool) -> None:
        """Count `size` bytes that could not be read, in a new place or in the one counted last."""
        self.skipped_bytes += size
        self.skipped_places += new_place

    def __str__(self) -> str:
        """Say it in a few words, as part of a one-line message; empty when there is no damage."""
        parts: list[str] = []
        if self.skipped_places:
            places = "1 place" if self.skipped_places == 1 else f"{self.skipped_places} places"
            parts.append(f"{self.skipped_bytes} bytes unreadable in {places}")
        if self.cut_off_bytes:
            parts.append(f"the end is cut off ({self.cut_off_bytes} bytes of an unfinished record)")
        return "; ".join(parts)


class TransactionLog:
    """Reads the records of one transaction log, whatever state it is in.

    Iterate over it for the records (bytes, one serialised W&B `Record` each, in the order in which they were
    written); `damage` is complete once the iteration has ended. After bytes that are no valid chunk, reading
    goes on at the next chunk that is one, in the same block or a later one. Every iteration starts at the
    beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = LogDamage()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the records.

        Raises
        ------
        SegmentError
            When the file is not a W&B transaction log. An empty file, and one cut off within the header, is a
            log without records: that is what a process killed early leaves behind.
        OSError
            When the file cannot be read.
        """
        self.damage = damage = LogDamage()
        with open_log(self.path) as file:
            beginning = _read(file, _READ_BYTES)
            if not beginning.startswith(HEADER):
                _refuse_foreign(self.path, beginning)
                return
            yield from _records(_chunks(file, beginning, damage), damage)


def open_log(path: Path) -> BinaryIO:
    """Open a transaction log for reading, unbuffered.

    Raises
    ------
    SegmentError
        When it is no file, such as a named pipe, whose reader would wait for ever.
    OSError
        When it cannot be opened.
    """
    # Opened before it is looked at, so that it is the same; a pipe that nobody writes to is no hindrance this way.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        message = f"{path}: not a W&B transaction log: found no regular file (a pipe, a folder?), expected one"
        raise SegmentError(message)
    return cast("BinaryIO", os.fdopen(descriptor, "rb", buffering=0))


def write_log(path: Path, records: Iterable[bytes]) -> int:
    """Write `records` as a clean transaction log, whole or not at all, and return how many there were.

    The records are taken one by one, so that a log of any size is copied in little memory.

    Raises
    ------
    OSError
        When the disk is full or the folder cannot be written; nothing is left behind then.
    """
    count = 0
    with whole_file(path, _READ_BYTES) as file:
        writer = _Writer(file)
        for record in records:
            writer.write(record)
            count += 1
    return count


class _Writer:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._file.write(HEADER)
        self._offset = len(HEADER)

    def write(self, record: bytes) -> None:
        begin, kind = 0, 0
        while kind not in {FULL, LAST}:
            room = BLOCK_BYTES - self._offset - CHUNK_HEADER.size
            if room < 0:
                self._file.write(bytes(BLOCK_BYTES - self._offset))
                self._offset, room = 0, BLOCK_BYTES - CHUNK_HEADER.size
            payload = record[begin : begin + room]
            begin += len(payload)
            # `room` may be 0: then an empty first chunk fills the block to its last byte.
            whole = begin == len(record)
            kind = (LAST if whole else MIDDLE) if kind else (FULL if whole else FIRST)
            self._file.write(CHUNK_HEADER.pack(crc32(payload, _TYPE_CRC[kind]), len(payload), kind))
            self._file.write(payload)
            self._offset += CHUNK_HEADER.size + len(payload)


def _refuse_foreign(path: Path, beginning: bytes) -> None:
    if not HEADER.startswith(beginning):
        found = beginning[: len(HEADER)]
        message = f"{path}: not a W&B transaction log: found {found!r} at its beginning, expected {HEADER!r}"
        raise SegmentError(message)


def _read(file: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end of the file (one raw read may return less)."""
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data


def _chunks(file: BinaryIO, window: bytes, damage: LogDamage) -> Iterator[tuple[int, bytes]]:
    """Yield type and payload of each valid chunk, and type 0 where bytes had to be skipped in between.

    `window` is what has been read of `file` so far, the header included.
    """
    offset, in_gap = len(HEADER), False
    while window:
        for block in range(0, len(window), BLOCK_BYTES):
            end = min(block + BLOCK_BYTES, len(window))
            while offset + 7 <= end:
                crc, length, kind = _unpack(window, offset)
                after = offset + 7 + length
                if after <= end and 1 <= kind <= 4:
                    payload = window[offset + 7 : after]
                    if crc32(payload, _TYPE_CRC[kind]) == crc:
                        yield kind, payload
                        offset, in_gap = after, False
                        continue
                following = _find_chunk(window, offset + 1, end)
                if following == end and end < block + BLOCK_BYTES and 1 <= kind <= 4 and after > end:
                    break
                damage.skip(following - offset, new_place=not in_gap)
                yield 0, b""
                offset, in_gap = following, True
            if end < block + BLOCK_BYTES:
                # Only the last block is short; what is left of it is the beginning of a chunk.
                damage.cut_off_bytes += end - offset
                return
            offset = end
        window, offset = _read(file, _READ_BYTES), 0


def _find_chunk(window: bytes, start: int, end: int) -> int:
    """Find where the next valid chunk begins in `window[start:end]`; `end` when there is none."""
    for found in _SOME_TYPE.finditer(window, start + 6, end):
        begin = found.start() - 6
        crc, length, kind = _unpack(window, begin)
        after = begin + 7 + length
        if after <= end and crc32(window[begin + 7 : after], _TYPE_CRC[kind]) == crc:
            return begin
    return end


def _records(chunks: Iterable[tuple[int, bytes]], damage: LogDamage) -> Iterator[bytes]:
    """Join chunks to records; what is left of a record that is not whole counts as damage."""
    parts: list[bytes] = []
    in_gap = False

    def parts_bytes() -> int:
        return sum(CHUNK_HEADER.size + len(part) for part in parts)

    for kind, payload in chunks:
        if kind == FULL and not parts:
            yield payload
        elif not kind:
            # A gap: it swallowed the end of a record in the making.
            damage.skip(parts_bytes(), new_place=False)
            parts = []
        elif kind in {FULL, FIRST}:
            if parts:
                # The writer stopped within a record and went on with another one.
                damage.skip(parts_bytes(), new_place=True)
            parts = [payload]
            if kind == FULL:
                yield payload
                parts = []
        elif parts:
            parts.append(payload)
            if kind == LAST:
                yield b"".join(parts)
                parts = []
        else:
            # Its beginning is missing.
            damage.skip(CHUNK_HEADER.size + len(payload), new_place=not in_gap)
            in_gap = True
            continue
        in_gap = not kind
    damage.cut_off_bytes += parts_bytes()
