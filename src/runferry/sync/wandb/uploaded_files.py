"""List the files that a run's segments promised to the server: those of `wandb.save`, media, and wandb's own."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from runferry.sync.wandb.gone_for_good import NOR_ON_DISK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runferry.sync.wandb.local import OnDisk
    from runferry.trackers.wandb.log.segment import Segment
    from runferry.trackers.wandb.queries import FileOnServer

HASHED_BYTES = 2**20
"""Files up to this size are compared by content too; larger ones by size: to hash checkpoints is work for a node."""
_GLOB = set("*?[")


def promised_files(disk: OnDisk) -> dict[str, Path | None]:
    """Return the path on disk of each promised file, by its name on the server; None where it is deleted.

    Where two segments promise the same one, the later one's counts: it overwrites the other on the server.
    """
    promised: dict[str, Path | None] = dict.fromkeys(disk.before.files if disk.before else ())
    for segment in disk.segments:
        for name, file in _of_segment(segment):
            if file is not None or promised.get(name) is None:
                promised[name] = file
    return promised


def missing_files(disk: OnDisk, there: Mapping[str, FileOnServer]) -> list[str]:
    """Return a line for each promised file that the server lacks or holds differently."""
    found: list[str] = []
    for name, file in promised_files(disk).items():
        held = there.get(name)
        if held is None:
            found.append(f"the file {name} is not on the server" + ("" if file else f", {NOR_ON_DISK}"))
        elif file is not None:
            size = file.stat().st_size
            if size != held.size_bytes:
                found.append(f"the server's {name} has {held.size_bytes} bytes, the disk's {size}")
            elif held.md5 and size <= HASHED_BYTES and _differs(file, held.md5):
                found.append(f"the server's {name} has another content than the disk's, of the same size")
    return found


def segments_with(disk: OnDisk, names: set[str]) -> set[str]:
    """Return the names of the segments that promised one of these files."""
    return {segment.name for segment in disk.segments if any(name in names for name, _ in _of_segment(segment))}


def total_bytes(disk: OnDisk) -> int:
    """Return the total size of the promised files that are on disk."""
    return sum(file.stat().st_size for file in promised_files(disk).values() if file)


def _of_segment(segment: Segment) -> Iterator[tuple[str, Path | None]]:
    folder = segment.folder / "files"
    for name in segment.files:
        if _GLOB & set(name):
            # wandb resolves a pattern when it uploads: what it finds, none too.
            yield from ((str(file.relative_to(folder)), file) for file in folder.glob(name) if file.is_file())
        else:
            file = folder / name
            yield name, file if file.is_file() else None


def _differs(file: Path, md5: str) -> bool:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    # W&B's is base64, as Google's storage has it; hexadecimal would be no surprise of another server.
    return md5 not in (base64.b64encode(digest.digest()).decode(), digest.hexdigest())
