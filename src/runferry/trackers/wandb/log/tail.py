"""Read the new records of a transaction log that is still being written, each of them once.

Unlike `framing`, which carries on behind what it cannot read, this stops there. In a file that another
machine writes, a place may be unreadable only for now; and rows that were counted without the ones before them would
get the wrong place on the server.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from runferry.trackers.wandb.log.framing import BLOCK_BYTES, CHUNK_HEADER, FIRST, FULL, HEADER, LAST, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_READ_BYTES = 32 * BLOCK_BYTES


class LogTail:
    """Reads the new records at the end of one transaction log.

    Attributes
    ----------
    position : int
        Bytes from the start of the file to the end of the last whole record that was read; 0 before the first.
    unreadable : bool
        Whether there are bytes behind `position` that are no part of a record. An unfinished record is not that.
    unfinished_bytes : int
        What there is behind `position`: the beginning of a record, or what cannot be read.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        self.path = path
        self.position = position
        self.unreadable = False
        self.unfinished_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the records behind `position`, which is moved along.

        Raises
        ------
        OSError
            When the file cannot be read.
        """
        self.unreadable = False
        with io.BufferedReader(cast("Any", open_log(self.path))) as file:
            if not self.position:
                header = file.read(len(HEADER))
                if header != HEADER:
                    self.unreadable = not HEADER.startswith(header)
                    self.unfinished_bytes = len(header)
                    return
                self.position = len(HEADER)
            offset = self.position
            start = offset // BLOCK_BYTES * BLOCK_BYTES
            file.seek(start)
            end = start
            parts: list[bytes] = []
            while window := file.read(_READ_BYTES):
                end = start + len(window)
                for kind, payload, after in self._chunks(window, start, offset):
                    # A first or whole chunk within a record, or a later one without a first, is no record.
                    if (kind in {FULL, FIRST}) == bool(parts):
                        self.unreadable = True
                        break
                    parts.append(payload)
                    if kind in {FULL, LAST}:
                        self.position = after
                        yield b"".join(parts)
                        parts = []
                if self.unreadable or len(window) < _READ_BYTES:
                    break
                start = offset = end
            self.unfinished_bytes = max(end - self.position, 0)

    def _chunks(self, window: bytes, start: int, offset: int) -> Iterator[tuple[int, bytes, int]]:
        """Yield type, payload and end of each chunk from `offset` on; `window` begins at `start`, a block's."""
        place, size = offset - start, len(window)
        while place < size:
            block_end = place - place % BLOCK_BYTES + BLOCK_BYTES
            if block_end - place < CHUNK_HEADER.size:
                place = block_end
                continue
            if place + CHUNK_HEADER.size > size:
                return
            crc, length, kind = CHUNK_HEADER.unpack_from(window, place)
            after = place + CHUNK_HEADER.size + length
            if not 1 <= kind <= 4 or after > block_end:
                self.unreadable = True
                return
            if after > size:
                return
            payload = window[place + CHUNK_HEADER.size : after]
            if crc32(payload, crc32(bytes([kind]))) != crc:
                self.unreadable = True
                return
            yield kind, payload, start + after
            place = after

    def records_near_end(self, blocks: int) -> list[bytes]:
        """Return the records in the last blocks of the log, first to last; `position` stays.

        A record that begins before these blocks is left out, and so is all behind a place that cannot be read.

        Parameters
        ----------
        blocks
            How many, of 32 KiB each.

        Raises
        ------
        OSError
            When the file cannot be read.
        """
        with io.BufferedReader(cast("Any", open_log(self.path))) as file:
            size = file.seek(0, 2)
            start = max(-(-size // BLOCK_BYTES) - blocks, 0) * BLOCK_BYTES
            file.seek(start)
            window = file.read()
        if not start and not window.startswith(HEADER):
            return []
        found: list[bytes] = []
        parts: list[bytes] = []
        for kind, payload, _ in self._chunks(window, start, start or len(HEADER)):
            # The end of a record whose beginning was not read has no parts before it.
            parts = [payload] if kind in {FULL, FIRST} else [*parts, payload] if parts else []
            if parts and kind in {FULL, LAST}:
                found.append(b"".join(parts))
                parts = []
        return found
