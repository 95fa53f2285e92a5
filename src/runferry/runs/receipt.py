"""Check whether a run's receipt holds for the segments on disk.

A receipt names each segment with its log's size, times and SHA-256. It holds while the logs are those:

>>> from runferry.runs.folder import RunFolder
>>> from runferry.system.files import write_json
>>> run = RunFolder(Path("results/digits/k3j9x2ab"))
>>> log = run.wandb_folder / "offline-run-20261127_061826-k3j9x2ab" / "run-k3j9x2ab.wandb"
>>> log.parent.mkdir(parents=True)
>>> _ = log.write_bytes(b"rows")
>>> segment = {"name": log.parent.name, **stamp(log), "sha256": sha256(log)}
>>> write_json(run.receipt_file, {"base_url": "https://api.wandb.ai", "segments": [segment]})
>>> holds(run, None)
True
>>> _ = log.write_bytes(b"rows and more")
>>> holds(run, None)
False
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.runs.receipt_record import SegmentEntry
from runferry.runs.receipt_stamp import STAMP_KEYS, files_of, is_for, known_and_there, stamp, unchanged
from runferry.system.files import read_json

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder
    from runferry.runs.receipt_record import Receipt


def promote(folder: RunFolder, base_url: str | None) -> None:
    """Rename the interim receipt of a trained run to its receipt, where it holds and no other exists."""
    if not folder.receipt_file.exists() and holds(folder, base_url, interim=True):
        folder.interim_receipt_file.rename(folder.receipt_file)


def holds(folder: RunFolder, base_url: str | None, *, interim: bool = False) -> bool:
    """Return whether the receipt covers exactly the segments on disk as they are now, on the server that is meant.

    `base_url` is the server's address where one is set; None is W&B's own, which is never on this machine.
    """
    try:
        receipt = read_json(folder.interim_receipt_file if interim else folder.receipt_file)
        if not is_for(str(receipt.get("base_url", "")), base_url):
            return False
        if unchanged(receipt, str(folder.path)):
            return True
        # Copied or touched perhaps. Sizes first: hashing what has grown is work for nothing.
        known, logs = known_and_there(receipt, str(folder.path))
        return (
            known.keys() == logs.keys()
            and all(_size(logs[name]) == item["size_bytes"] for name, item in known.items())
            and all(sha256(Path(logs[name])) == item["sha256"] for name, item in known.items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def covered(receipt: Receipt, folder: RunFolder) -> tuple[dict[str, SegmentEntry], dict[str, str]]:
    """Return a receipt's segments and the logs on disk by name, without those that `runferry clean` has deleted."""
    known = {segment.name: segment for segment in receipt.segments if not segment.cleaned}
    deleted = {segment.name for segment in receipt.segments if segment.cleaned}
    logs = files_of(receipt.tracker, str(folder.path))
    return known, {name: log for name, log in logs.items() if name not in deleted}


def describe_log(name: str, file: Path | str, unreadable: str | None = None) -> SegmentEntry:
    """Describe a segment's log as it is now, by its stamp and hash; `file` is empty where the segment has none."""
    if not file:
        return SegmentEntry(name, unreadable=unreadable)
    # The stamp first: where somebody writes to the file while it is hashed, the receipt does not hold.
    now = stamp(file)
    size, written, changed = (now[key] for key in STAMP_KEYS)
    return SegmentEntry(name, size, written, changed, sha256(Path(file)), unreadable=unreadable)


def sha256(file: Path) -> str | None:
    """Return the SHA-256 of a file's content; None where no such file exists."""
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(file: str) -> int | None:
    return stamp(file)["size_bytes"] if file else None
