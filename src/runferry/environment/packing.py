"""Pack a tree into an archive that unpacks fast (see `runferry.environment.archive` for its layout)."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, cast

import xxhash
import zstandard

from runferry.environment.archive import (
    COMPRESSED,
    FOOTER,
    FOOTER_MAGIC,
    SKIPPABLE_HEADER,
    SKIPPABLE_MAGIC,
    STORED,
    Index,
)
from runferry.environment.extraction import Content, Piece
from runferry.errors import PackingError
from runferry.system.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Of 477 MB: level 1 153 MB, 3 132 MB in 1.5 s of CPU, 9 114 MB in 6.8 s; all three unpack equally fast.
_LEVEL = 3
# Reading half a gigabyte takes a parallel filesystem less than zstd takes to decompress it (0.3 s); of a large tree,
# which all jobs read, the filesystem's bandwidth is what is short.
_STORED_BYTES = 1_000_000_000
# Bytes of tar in a piece at least. Frames of 1 MiB unpack no faster and take 3 % more room.
_PIECE = 4 * 1024 * 1024
# A login node is shared; more than this is not worth its neighbours' trouble.
_MOST_THREADS = 4
_KEPT_IN_MEMORY = 64 * 1024 * 1024  # bytes of a piece; a larger one waits in a temporary file
_DISK_BLOCK = 4096


@dataclass(frozen=True)
class Packed:
    """The name, hash and sizes of a packed archive."""

    archive: str
    """The archive's file name."""
    sha256: str
    """Of the archive's index."""
    archive_bytes: int
    unpacked_bytes: int
    """What the tree takes on a disk with blocks of 4 KiB."""
    files: int
    """Files, links and folders."""


@dataclass(frozen=True)
class _Member:
    path: Path
    entry: tarfile.TarInfo
    header: bytes

    @property
    def size(self) -> int:
        return self.entry.size

    @property
    def padding(self) -> int:
        return -self.size % tarfile.BLOCKSIZE

    @property
    def tar_bytes(self) -> int:
        return len(self.header) + self.size + self.padding


def pack(tree: Path, folder: Path, name: str, *, compress: bool | None = None) -> Packed:
    """Pack the folder `tree` into an archive, which gets its name only when it is whole.

    The same tree gives the same bytes: members are sorted, owners left out, modes reduced to 0644 and 0755.
    Modification times are kept in whole seconds, which is what Python compares a `.pyc` file with.

    Parameters
    ----------
    tree
        The folder to pack.
    folder
        Of the archive.
    name
        Of the archive, without the suffix: `.tar`, or `.tar.zst` where it is compressed.
    compress
        Whether to compress it; None: from 1 GB on.

    Raises
    ------
    PackingError
        When the tree holds something that is no file, link or folder, or changes meanwhile.
    OSError
        When the disk is full; no partial archive is left then.
    """
    members = _members(tree)
    if compress is None:
        compress = sum(member.tar_bytes for member in members) >= _STORED_BYTES
    archive = folder / f"{name}{COMPRESSED if compress else STORED}"
    with whole_file(archive) as file:
        digest = _write(file, members, compress=compress)
        size = file.tell()
    blocks = sum(1 if member.entry.isdir() else -(-member.size // _DISK_BLOCK) for member in members)
    return Packed(archive.name, digest, size, blocks * _DISK_BLOCK, len(members))


def _members(tree: Path) -> list[_Member]:
    """List folders, parents first, then all else, by path."""
    members = [_member(tree, path) for path in [tree, *sorted(tree.rglob("*"))]]
    return sorted(members, key=lambda member: not member.entry.isdir())


def _member(tree: Path, path: Path) -> _Member:
    status = path.lstat()
    entry = tarfile.TarInfo("./" + str(path.relative_to(tree)) if path != tree else ".")
    entry.mtime = int(status.st_mtime)
    entry.mode = 0o755
    if stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        entry.type = tarfile.SYMTYPE
        entry.linkname = str(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        entry.mode = 0o755 if status.st_mode & 0o111 else 0o644
    else:
        message = f"{path}: found neither a file nor a link nor a folder, expected one of these in an environment"
        raise PackingError(message)
    header = entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    return _Member(path, entry, header)


def _pieces(members: list[_Member]) -> Iterator[list[_Member]]:
    piece: list[_Member] = []
    size = 0
    for member in members:
        piece.append(member)
        size += member.tar_bytes
        if size >= _PIECE:
            yield piece
            piece, size = [], 0
    yield piece


def _write(file: IO[bytes], members: list[_Member], *, compress: bool) -> str:
    """Make the pieces in threads, write them in order and the index after them; return the sha256 of the index."""
    written: list[Piece] = []
    count = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    pieces = list(_pieces(members))
    waiting = iter(pieces)
    under_way: deque[Future[tuple[Piece, IO[bytes]]]] = deque()
    with ThreadPoolExecutor(count) as pool:
        while True:
            # Only so many ahead: what is made and not yet written is in memory.
            while len(under_way) < 2 * count and (piece := next(waiting, None)) is not None:
                under_way.append(pool.submit(_make, piece, last=piece is pieces[-1], compress=compress))
            if not under_way:
                break
            made, content = under_way.popleft().result()
            with content:
                written.append(replace(made, offset=file.tell()))
                content.seek(0)
                shutil.copyfileobj(content, file, 1024 * 1024)
    folders = [member.entry.name for member in members[1:] if member.entry.isdir()]
    links = [(member.entry.name, member.entry.linkname) for member in members if member.entry.issym()]
    index = Index(folders, links, written).to_bytes()
    if compress:
        file.write(SKIPPABLE_HEADER.pack(SKIPPABLE_MAGIC, len(index) + FOOTER.size))
    file.write(index + FOOTER.pack(len(index), FOOTER_MAGIC))
    return hashlib.sha256(index).hexdigest()


def _make(members: list[_Member], *, last: bool, compress: bool) -> tuple[Piece, IO[bytes]]:
    """Make the tar of some members, compressed or not; the caller closes it."""
    contents: list[Content] = []
    position = 0
    for member in members:
        if member.entry.isreg():
            begin = position + len(member.header)
            entry = member.entry
            contents.append((entry.name, begin, entry.size, entry.mode, int(entry.mtime)))
        position += member.tar_bytes
    # Two empty blocks end a tar; only the last piece has them.
    size = position + (2 * tarfile.BLOCKSIZE if last else 0)
    content = cast("IO[bytes]", tempfile.SpooledTemporaryFile(_KEPT_IN_MEMORY))  # noqa: SIM115 - the caller closes it
    output = _HashedOutput(content)
    if compress:
        compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        try:
            with compressor.stream_writer(cast("IO[bytes]", output), size=size, closefd=False) as writer:
                _write_tar(members, size, cast("IO[bytes]", writer))
        except zstandard.ZstdError as error:
            raise _changed(members[0].path.parent) from error
    else:
        _write_tar(members, size, cast("IO[bytes]", output))
    return Piece(0, content.tell(), size, output.digest.hexdigest(), contents), content


def _write_tar(members: list[_Member], size: int, output: IO[bytes]) -> None:
    written = 0
    for member in members:
        output.write(member.header)
        left = member.size
        if left:
            with member.path.open("rb") as file:
                while data := file.read(1024 * 1024):
                    left -= len(data)
                    output.write(data)
        if left:
            raise _changed(member.path)
        output.write(bytes(member.padding))
        written += member.tar_bytes
    output.write(bytes(size - written))


def _changed(path: Path) -> PackingError:
    return PackingError(
        f"{path}: found that it changed while it was packed, expected it not to; build the environment again"
    )


class _HashedOutput:
    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = xxhash.xxh3_128()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        """Do nothing: what is written is there."""
