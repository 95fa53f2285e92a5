"""Check cheaply whether a receipt still covers what is on disk: the first step of every `runferry sync`.

A workflow of a thousand runs starts `runferry sync` a thousand times, and nearly each finds that the receipt is there
already. So this module imports next to nothing: an interpreter that does only this takes 0.02 s of CPU.
"""

from __future__ import annotations

import os

# As in `runferry.cli.fast_start`: even typing's own import counts here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STAMP_KEYS = ("size_bytes", "mtime_ns", "ctime_ns")
"""The kernel sets the change time (ctime) at each write and nobody can set it back, so that a file with the same three
is the same file, unwritten since. Where the folder was copied it differs, and the content is hashed instead."""

Stamp = dict[str, int]


def stamp(file: str | os.PathLike[str]) -> Stamp:
    """Return a file's size in bytes and the two times, in nanoseconds, that a write changes."""
    status = os.stat(file)  # noqa: PTH116 - pathlib's import costs as much as all the rest
    return {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}


def logs_on_disk(run_folder: str) -> dict[str, str]:
    """Return the path of each segment's transaction log, by the segment's name."""
    wandb = os.path.join(run_folder, "wandb")  # noqa: PTH118 - see above
    found: dict[str, str] = {}
    try:
        segments = [entry for entry in os.scandir(wandb) if entry.name.startswith(("offline-run-", "run-"))]
    except FileNotFoundError:
        return {}
    for segment in segments:
        logs = [
            entry.path
            for entry in os.scandir(segment.path)
            if entry.name.startswith("run-") and entry.name.endswith(".wandb")
        ]
        # More than one, or none, is a segment that cannot be read: known by its folder's name.
        found[segment.name] = logs[0] if len(logs) == 1 else ""
    return found


def archives_on_disk(run_folder: str) -> dict[str, str]:
    """Return the files that hold what a run logged to Comet, by their names below `comet/`.

    An archive, or the messages of an experiment that was not ended (see `runferry.trackers.comet.hook`).
    """
    comet = os.path.join(run_folder, "comet")  # noqa: PTH118 - see above
    found: dict[str, str] = {}
    try:
        attempts = [entry for entry in os.scandir(comet) if entry.name.startswith("attempt-")]
    except FileNotFoundError:
        return {}
    for attempt in attempts:
        for entry in os.scandir(attempt.path):
            messages = f"{entry.path}/messages.json"
            if entry.name.endswith(".zip"):
                found[f"{attempt.name}/{entry.name}"] = entry.path
            elif entry.name.startswith("data-") and os.path.exists(messages):  # noqa: PTH110 - see above
                found[f"{attempt.name}/{entry.name}"] = messages
    return found


def files_of(tracker: str | None, run_folder: str) -> dict[str, str]:
    """Return the logs or Comet's archives on disk, as the tracker of a receipt says, by their names in the receipt."""
    return archives_on_disk(run_folder) if tracker == "comet" else logs_on_disk(run_folder)


def unchanged(receipt: Any, run_folder: str) -> bool:
    """Return whether a receipt, as it was decoded, lists exactly the segments on disk, each with its present stamp."""
    try:
        known, logs = known_and_there(receipt, run_folder)
        return known.keys() == logs.keys() and all(
            _same(known[name], stamp(file) if file else None) for name, file in logs.items()
        )
    except (AttributeError, KeyError, TypeError, OSError):
        return False


def known_and_there(receipt: Any, run_folder: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the entries of a decoded receipt and the logs on disk, both without what `runferry clean` has deleted."""
    segments = receipt["segments"]
    cleaned = {segment["name"] for segment in segments if segment.get("cleaned")}
    known = {segment["name"]: segment for segment in segments if segment["name"] not in cleaned}
    logs = files_of(receipt.get("tracker"), run_folder)
    return known, {name: log for name, log in logs.items() if name not in cleaned}


def is_for(server: str, base_url: str | None) -> bool:
    """Return whether a receipt's `base_url` is the server that is meant; None is W&B's own, never on this machine."""
    if base_url:
        return server == base_url
    host = server.partition("://")[2]
    return not host.startswith(("127.", "localhost", "[::1]"))


_ADDRESS_VARIABLES = {"wandb": "WANDB_BASE_URL", "comet": "COMET_URL_OVERRIDE"}


def is_settled(run: Any, receipt: Any, run_folder: str) -> bool:
    """Return whether a receipt is of the server that is meant and lists exactly the segments on disk, unchanged.

    Parameters
    ----------
    run, receipt
        The decoded `run.json` and `receipt.json`.
    run_folder
        The path of the run's folder.

    Raises
    ------
    KeyError, TypeError, AttributeError
        When they are no such records.
    """
    tracker = run.get("tracker", "wandb")
    base_url = run[tracker].get("base_url") or os.environ.get(_ADDRESS_VARIABLES[tracker]) or ""
    # Comet's variable has the path of its API in it.
    base_url = base_url.rstrip("/").removesuffix("/clientlib")
    return is_for(str(receipt.get("base_url", "")), base_url or None) and unchanged(receipt, run_folder)


def _same(known: dict[str, Any], now: Stamp | None) -> bool:
    return all(known.get(key) == (now[key] if now else None) for key in STAMP_KEYS)
