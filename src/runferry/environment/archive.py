"""Define the layout of an environment's archive, and unpack it.

An archive is an ordinary `.tar`, or a `.tar.zst` that `tar --zstd -x` reads. What makes it fast is that it is made of
pieces, each of which is a small tar of its own (in a `.tar.zst` a zstd frame), and that an index at the end says where
the content of each file lies in its piece. So several processes extract at once, each with nothing to parse. After the
end of a tar, and in a skippable frame of zstd, other programs pass the index over.

The index, JSON compressed with zstd, has the XXH3 (128 bits) of every piece, and the record the sha256 of the index:
what was extracted is checked whole, at a tenth of the time that the sha256 of everything takes.

Measured on two cores and tmpfs (benchmarks/environment_archive.py; numpy, pandas, SciPy, scikit-learn, wandb; 301 MB,
6,229 entries), CPU seconds of four jobs that unpack at once: this from a `.tar` 1.09, `tar -x` 1.16, and 1.72 where
what `tar` is given is checked; from a `.tar.zst` 2.44, 3.29 and 2.78.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

from runferry.environment.extraction import DamagedArchive, Piece, Reader, extract, new_buffer
from runferry.environment.record import EnvironmentRecord, read_record
from runferry.errors import PackingError
from runferry.system.disk_space import check_room
from runferry.system.locks import turn

if TYPE_CHECKING:
    from typing import BinaryIO

SKIPPABLE_HEADER = struct.Struct("<II")  # magic, bytes that follow
SKIPPABLE_MAGIC = 0x184D2A5E
FOOTER = struct.Struct("<I8s")  # bytes of the compressed index before it, magic
FOOTER_MAGIC = b"runferry"
COMPRESSED = ".tar.zst"
STORED = ".tar"


@dataclass(frozen=True)
class Index:
    """The index of an archive: its folders, links and pieces."""

    folders: list[str]
    """Paths below the tree's own folder, parents first."""
    links: list[tuple[str, str]]
    """Path and target of each symbolic link."""
    pieces: list[Piece]

    def to_bytes(self) -> bytes:
        """Return the compressed index as it stands at the end of an archive, before the footer."""
        content = {
            "folders": self.folders,
            "links": self.links,
            "pieces": [
                [piece.offset, piece.size, piece.unpacked_size, piece.digest, piece.contents] for piece in self.pieces
            ],
        }
        return zstandard.ZstdCompressor(level=3).compress(json.dumps(content, separators=(",", ":")).encode())

    @classmethod
    def from_bytes(cls, content: bytes) -> Index:
        """Read an index from what `to_bytes` returned."""
        read: dict[str, Any] = json.loads(zstandard.ZstdDecompressor().decompress(content))
        pieces = [Piece(*piece) for piece in read["pieces"]]
        return cls(read["folders"], read["links"], pieces)


def unpack(record_file: Path, destination: Path) -> Path:
    """Unpack the environment of `record_file` below `destination` and return its folder (`bin/python` is in it).

    What the archive holds is checked while it is extracted. The folder is `destination/environment-<key>` and gets
    this name when all is well, so that one that is there is whole and is used again; jobs that share the
    destination wait for each other. What an interrupted call left behind is removed by the next.

    Raises
    ------
    PackingError
        When the record or the archive is missing, damaged or does not fit the other; when the environment's Python is
        not on this machine; when the disk has too little room.
    """
    record = read_record(record_file)
    folder = destination / f"environment-{record.key}"
    if not Path(record.python).exists():
        message = (
            f"{record_file}: found no {record.python} on {os.uname().nodename}, expected the environment's Python; "
            "build the environment with a Python that every node sees (environment.python, environment.modules)"
        )
        raise PackingError(message)
    if folder.is_dir():
        return folder
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with turn(destination / f".environment-{record.key}.lock"):
            if not folder.is_dir():
                _unpack_anew(record, record_file.parent / record.archive, folder)
    except OSError as error:
        message = f"{destination}: expected the environment to be unpacked here, found: {error}"
        raise PackingError(message) from error
    return folder


def read_index(file: BinaryIO, archive: Path, sha256: str | None = None) -> Index:
    """Read the index at the end of an open archive.

    Parameters
    ----------
    file
        Open for reading, without a buffer.
    archive
        Its path, for messages.
    sha256
        What the sha256 of the index must be.

    Raises
    ------
    PackingError
        When there is no index, or it is another one.
    """
    size = file.seek(0, os.SEEK_END)
    content = b""
    if size >= FOOTER.size:
        file.seek(size - FOOTER.size)
        length, magic = FOOTER.unpack(file.read(FOOTER.size))
        if magic == FOOTER_MAGIC and length <= size - FOOTER.size:
            file.seek(size - FOOTER.size - length)
            content = file.read(length)
    if not content:
        message = f"{archive}: found not a whole archive, expected an index at its end; build the environment again"
        raise PackingError(message)
    found = hashlib.sha256(content).hexdigest()
    if sha256 not in {None, found}:
        message = (
            f"{archive}: damaged or another environment's: found an index with the sha256 {found[:12]}..., expected "
            f"{(sha256 or '')[:12]}..., as recorded; build the environment again"
        )
        raise PackingError(message)
    try:
        return Index.from_bytes(content)
    except (zstandard.ZstdError, ValueError, TypeError, KeyError) as error:
        message = f"{archive}: found an index that cannot be read ({error}), expected runferry's; "
        message += "build the environment again"
        raise PackingError(message) from error


def is_whole(archive: Path, sha256: str) -> bool:
    """Return whether an archive has the index with this sha256, and every piece is as the index says."""
    try:
        with archive.open("rb", buffering=0) as file:
            buffer, compressed = new_buffer(), archive.name.endswith(COMPRESSED)
            for piece in read_index(file, archive, sha256).pieces:
                Reader(file.fileno(), piece, buffer, compressed=compressed).check()
    except (OSError, PackingError, DamagedArchive):
        return False
    return True


def _unpack_anew(record: EnvironmentRecord, archive: Path, folder: Path) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    check_room(folder.parent, record.unpacked_bytes, "the environment", inodes=record.files)
    partial = folder.with_name(f".{folder.name}.{os.urandom(4).hex()}.partial")
    partial.mkdir()
    try:
        _extract(archive, partial, record.sha256)
        try:
            partial.rename(folder)
        except OSError:
            # Without a working lock another may have been faster; its folder is as good.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _extract(archive: Path, folder: Path, sha256: str) -> None:
    try:
        # Opened once for all processes: on a parallel filesystem each open is a question to its metadata server.
        file = archive.open("rb", buffering=0)
    except FileNotFoundError as error:
        message = f"{archive}: found no such archive, expected it beside its record; build the environment again"
        raise PackingError(message) from error
    with file:
        index = read_index(file, archive, sha256)
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for path in index.folders:
                os.mkdir(path, 0o755, dir_fd=root)
            for path, target in index.links:
                os.symlink(target, path, dir_fd=root)
            extract(file.fileno(), index.pieces, root, compressed=archive.name.endswith(COMPRESSED))
        except DamagedArchive as error:
            message = (
                f"{archive}: damaged: expected it as it was packed, found that {error}; build the environment again"
            )
            raise PackingError(message) from error
        except OSError as error:
            message = f"{archive}: cannot be extracted in {folder.parent}: expected room for it, found: {error}"
            raise PackingError(message) from error
        finally:
            os.close(root)
