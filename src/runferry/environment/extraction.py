"""Extract the pieces of an archive with several processes at once (see `runferry.environment.archive`)."""

from __future__ import annotations

import gc
import io
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

import xxhash
import zstandard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

Content = tuple[str, int, int, int, int]
"""Of a file: its path; where its bytes begin in the piece, how many there are; its mode; when it was modified, in s."""

# More than this gained nothing even where cores were free: creating files is then what takes the time.
_MOST_PROCESSES = 4
_BUFFER = 256 * 1024  # bytes; larger ones leave the processor's cache
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NUMBER = 4  # bytes of a piece's number in the queue
_LARGE = 16 * 1024 * 1024  # bytes
_DAMAGED, _FAILED = b"damaged ", b"failed "


class DamagedArchive(Exception):  # noqa: N818 - what is found, which the caller words as an error
    """An archive whose content is not what its index says."""


@dataclass(frozen=True)
class Piece:
    """A part of an archive that is a tar of its own."""

    offset: int
    """Bytes from the archive's begin."""
    size: int
    """Bytes, in the archive."""
    unpacked_size: int
    """Bytes of tar."""
    digest: str
    """XXH3 (128 bits) of the bytes in the archive, hexadecimal."""
    contents: Sequence[Content]
    """The files in it, in the order of their bytes."""


class Reader:
    """Reads the tar of one piece, once, from begin to end."""

    def __init__(self, file: int, piece: Piece, buffer: memoryview, *, compressed: bool) -> None:
        self._piece = piece
        self._raw = _Raw(file, piece)
        self._source: io.RawIOBase = self._raw
        if compressed:
            reader = zstandard.ZstdDecompressor().stream_reader(cast("BinaryIO", self._raw))
            self._source = cast("io.RawIOBase", reader)
        self._buffer = buffer
        self._begin: int = 0
        self._end: int = 0
        self._position = 0

    def skip_to(self, position: int) -> None:
        """Skip the bytes of tar before `position`."""
        while self._position < position:
            self.read(position - self._position)

    def read(self, size: int) -> memoryview:
        """Return up to `size` bytes, at least one; they are valid until the next call.

        Raises
        ------
        DamagedArchive
            When there are none left, or they cannot be decompressed.
        OSError
            When the archive cannot be read.
        """
        if self._begin == self._end:
            self._begin, self._end = 0, self._fill()
        data = self._buffer[self._begin : min(self._end, self._begin + size)]
        self._begin += len(data)
        self._position += len(data)
        return data

    def _fill(self) -> int:
        try:
            count: int | None = self._source.readinto(self._buffer)
        except zstandard.ZstdError as error:
            message = f"a piece cannot be decompressed ({error})"
            raise DamagedArchive(message) from error
        if not count:
            message = f"a piece ends after {self._position} of {self._piece.unpacked_size} bytes"
            raise DamagedArchive(message)
        return count

    def check(self) -> None:
        """Read the rest of the piece, and compare the piece with its entry in the index.

        Raises
        ------
        DamagedArchive
            When they differ.
        OSError
            When the archive cannot be read.
        """
        self.skip_to(self._piece.unpacked_size)
        while self._raw.readinto(self._buffer):
            # What nothing has asked for, such as the checksum at the end of a frame.
            pass
        found = self._raw.digest.hexdigest()
        if found != self._piece.digest:
            expected = self._piece.digest
            message = f"the bytes at {self._piece.offset} have the XXH3 {found[:12]}..., expected {expected[:12]}..."
            raise DamagedArchive(message)


def new_buffer() -> memoryview:
    """Return a buffer for a `Reader`; one reader after the other may use the same."""
    return memoryview(bytearray(_BUFFER))


def extract(file: int, pieces: Sequence[Piece], root: int, *, compressed: bool) -> None:
    """Write the files of all pieces.

    Call it where another thread holds no lock that a forked child may need, such as that of an import.

    Parameters
    ----------
    file
        The descriptor of the archive; it is read with `pread`, so that processes share it.
    pieces
        Of the archive.
    root
        The descriptor of the folder that the paths are in; the folders are there.
    compressed
        Whether each piece is a zstd frame.

    Raises
    ------
    DamagedArchive
        When a piece is not what the index says.
    OSError
        When something cannot be read or written.
    """
    # The large ones first, so that none is begun when the others have ended; the rest as they lie.
    order = sorted(range(len(pieces)), key=lambda number: -max(pieces[number].unpacked_size, _LARGE))
    queue, numbers = os.pipe()
    failures, failure = os.pipe()
    children: list[int] = []
    try:
        # A collection in a child would copy the pages that it shares with this process.
        gc.freeze()
        for _ in range(min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))):
            child = os.fork()
            if child == 0:
                _work(file, pieces, root, (queue, numbers, failures, failure), compressed=compressed)
            children.append(child)
        os.close(queue)
        os.close(failure)
        queue = failure = -1
        # Where every child has failed nothing reads them.
        with suppress(BrokenPipeError):
            os.write(numbers, b"".join(number.to_bytes(_NUMBER, "little") for number in order))
        os.close(numbers)
        numbers = -1
        with os.fdopen(failures, "rb") as stream:
            failures = -1
            said = stream.readline()
        statuses = [os.waitpid(children.pop(), 0)[1] for _ in range(len(children))]
    except BaseException:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise
    finally:
        gc.unfreeze()
        for descriptor in (queue, numbers, failures, failure):
            if descriptor >= 0:
                os.close(descriptor)
    text = said.decode(errors="replace").strip()
    if said.startswith(_DAMAGED):
        raise DamagedArchive(text.removeprefix(_DAMAGED.decode()))
    if said or any(statuses):
        raise OSError(text.removeprefix(_FAILED.decode()) or f"a process that extracts ended with {max(statuses)}")


def _work(
    file: int, pieces: Sequence[Piece], root: int, pipes: tuple[int, int, int, int], *, compressed: bool
) -> NoReturn:
    """Be one of the processes: extract pieces until the queue is empty, and end."""
    queue, numbers, failures, failure = pipes
    try:
        gc.disable()
        # The parent kills this process when it is told to end.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        os.close(numbers)
        os.close(failures)
        buffer = new_buffer()
        while number := os.read(queue, _NUMBER):
            piece = pieces[int.from_bytes(number, "little")]
            _extract_piece(Reader(file, piece, buffer, compressed=compressed), piece.contents, root)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - whatever it is, this must not go on as a second parent
        said = (
            _DAMAGED + f"{error}\n".encode() if isinstance(error, DamagedArchive) else _FAILED + f"{error}\n".encode()
        )
        with suppress(OSError):
            os.write(failure, said)
            # So that the others end, too.
            while os.read(queue, 65536):
                pass
    finally:
        os._exit(1)


def _extract_piece(reader: Reader, contents: Sequence[Content], root: int) -> None:
    for path, position, size, mode, modified in contents:
        reader.skip_to(position)
        new = os.open(path, _NEW, mode, dir_fd=root)
        try:
            left = size
            while left:
                data = reader.read(left)
                left -= len(data)
                _write(new, data)
            os.utime(new, (modified, modified))
        finally:
            os.close(new)
    reader.check()


def _write(file: int, data: memoryview) -> None:
    written = os.write(file, data)
    while written < len(data):
        written += os.write(file, data[written:])


class _Raw(io.RawIOBase):
    """The bytes of a piece as they are in the archive; their digest grows while they are read."""

    def __init__(self, file: int, piece: Piece) -> None:
        self._file = file
        self._position = piece.offset
        self._end = piece.offset + piece.size
        self.digest = xxhash.xxh3_128()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        wanted = memoryview(buffer)[: self._end - self._position]
        count = os.preadv(self._file, [wanted], self._position) if wanted else 0
        self.digest.update(wanted[:count])
        self._position += count
        return count
