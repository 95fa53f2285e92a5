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
from typing import TYPE_CHECKING, Any

from runferry.runs.receipt_stamp import STAMP_KEYS, is_for, known_and_there, stamp, unchanged
from runferry.system.files import read_json

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder


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
        if not is_for(receipt, base_url):
            return False
        if unchanged(receipt, str(folder.path)):
            return True
        # Copied or touched perhaps. Sizes first: hashing what has grown is work for nothing.
        known, logs = known_and_there(receipt, str(folder.path))
        return (
            known.keys() == logs.keys()
            and all(
                stamp_or_nothing(logs[name]).get("size_bytes") == item["size_bytes"] for name, item in known.items()
            )
            and all(sha256(Path(logs[name])) == item["sha256"] for name, item in known.items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def stamp_or_nothing(file: Path | str) -> dict[str, Any]:
    """Return a file's stamp, or one of nulls where no file is named."""
    return stamp(file) if file else dict.fromkeys(STAMP_KEYS)


def sha256(file: Path) -> str | None:
    """Return the SHA-256 of a file's content; None where no such file exists."""
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
