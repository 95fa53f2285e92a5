"""Write at the site the receipt that a sync elsewhere has got, where it covers just what is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.runs.receipt import sha256, stamp_or_nothing
from runferry.runs.receipt_stamp import is_for, known_and_there
from runferry.system.files import write_json
from runferry.trackers.registry import given_base_url, logs_to_wandb
from runferry.trackers.wandb.folders import remove_debug_logs, share_equal_files

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder


def write_sent_receipt(folder: RunFolder, receipt: dict[str, Any]) -> str | None:
    """Compare a receipt with the segments of a run, hash by hash, and write it with the stamps of these files.

    The caller holds the lock of the results folder, or accepts that another sync writes a receipt at the same time.

    Parameters
    ----------
    folder
        Of the run, here.
    receipt
        As a sync of a copy of these segments has written it.

    Returns
    -------
    str or None
        Why it was not written; None where it was.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        When it is no receipt.
    OSError
        When a segment cannot be read, or the receipt not written.
    """
    run = folder.read_run()
    if not is_for(receipt, given_base_url(run)):
        return f"found a receipt of {receipt.get('base_url')}, expected one of the server that the run names"
    known, logs = known_and_there(receipt, str(folder.path))
    if known.keys() != logs.keys():
        other = min(known.keys() ^ logs.keys())
        return f"found other segments here than in the receipt ({other}), expected the same; they come with the next"
    for name, entry in known.items():
        # The stamp first: where somebody writes to the file while it is hashed, the receipt does not hold.
        stamp = stamp_or_nothing(logs[name])
        same_size = entry["size_bytes"] == stamp["size_bytes"]
        if not same_size or sha256(Path(logs[name])) != entry["sha256"]:
            return f"found other bytes in {name} here than in the receipt, expected the same; they come with the next"
        entry.update(stamp)
    write_json(folder.receipt_file, receipt)
    if folder.trained_file.exists() and logs_to_wandb(run):
        remove_debug_logs(folder)
        share_equal_files(folder)
    return None
