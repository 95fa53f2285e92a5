"""Write at the site the receipt that a sync elsewhere has got, where it covers just what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runferry.runs.receipt import covered, describe_log
from runferry.trackers.registry import given_base_url, logs_to_wandb
from runferry.trackers.wandb.folders import remove_debug_logs, share_equal_files

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder
    from runferry.runs.receipt_record import Receipt, SegmentEntry


def write_sent_receipt(folder: RunFolder, receipt: Receipt) -> str | None:
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
    OSError
        When a segment cannot be read, or the receipt not written.
    """
    run = folder.read_run()
    if not receipt.is_for(given_base_url(run)):
        return f"found a receipt of {receipt.base_url}, expected one of the server that the run names"
    known, logs = covered(receipt, folder)
    if known.keys() != logs.keys():
        other = min(known.keys() ^ logs.keys())
        return f"found other segments here than in the receipt ({other}), expected the same; they come with the next"
    here: dict[str, SegmentEntry] = {}
    for name, entry in known.items():
        now = describe_log(name, logs[name])
        if (now.size_bytes, now.sha256) != (entry.size_bytes, entry.sha256):
            return f"found other bytes in {name} here than in the receipt, expected the same; they come with the next"
        here[name] = replace(entry, mtime_ns=now.mtime_ns, ctime_ns=now.ctime_ns)
    segments = tuple(here.get(segment.name, segment) for segment in receipt.segments)
    replace(receipt, segments=segments).write(folder.receipt_file)
    if folder.trained_file.exists() and logs_to_wandb(run):
        remove_debug_logs(folder)
        share_equal_files(folder)
    return None
