"""The receipt: written only where the server holds what the disk holds, and a list of what differs otherwise."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runferry import __version__
from runferry.files import read_json, write_json
from runferry.json_values import is_mapping
from runferry.server import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.disk import OnDisk
    from runferry.run_folder import RunFolder
    from runferry.segment import Segment
    from runferry.server import RunOnServer, Server

_ENDED_BADLY = ("failed", "crashed", "killed")
# wandb's own: written by the client at other times than the run's records, or by the server.
_NOT_COMPARED = ("_wandb", "_runtime", "_timestamp", "_step")


def differences(disk: OnDisk, there: RunOnServer | None) -> list[str]:
    """Name what the server does not hold as the disk does; nothing means that a receipt may be written."""
    if there is None:
        return ["the server has no such run"]
    found: list[str] = []
    if there.history_lines != disk.history_lines:
        found.append(f"the server has {there.history_lines} history lines, the disk {disk.history_lines}")
    if disk.history_lines and disk.last_step is not None and there.last_step != disk.last_step:
        found.append(f"the server's last step is {there.last_step}, the disk's {disk.last_step}")
    for name, value in disk.summary.items():
        if name not in _NOT_COMPARED and not _same(value, there.summary.get(name)):
            found.append(f"the server's last value of {name} is {there.summary.get(name)!r}, the disk's {value!r}")
    if not (there.state == disk.state or (disk.state == "failed" and there.state in _ENDED_BADLY)):
        found.append(f"the server says {there.state}, the disk {disk.state}")
    return found


def write_receipt(folder: RunFolder, disk: OnDisk, there: RunOnServer, server: Server, place: tuple[str, str]) -> None:
    """Write the run's receipt: what was compared, on both sides, and with which versions.

    `place` is the run's entity and project on the server.
    """
    entity, project = place
    run = disk.run_id
    write_json(
        folder.receipt_file,
        {
            "run": run,
            "url": server.run_url(entity, project, run),
            "entity": entity,
            "project": project,
            "base_url": server.base_url,
            "verified": datetime.now(UTC).isoformat(timespec="seconds"),
            "segments": fingerprints(disk.segments),
            "disk": {"history_lines": disk.history_lines, "last_step": disk.last_step, "state": disk.state},
            "server": {
                "history_lines": there.history_lines,
                "last_step": there.last_step,
                "state": there.state,
            },
            "wandb": importlib.metadata.version("wandb"),
            "runferry": __version__,
        },
    )
    if folder.receipt_file != folder.interim_receipt_file:
        folder.interim_receipt_file.unlink(missing_ok=True)


def fingerprints(segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """Describe segments so that a receipt shows which bytes it speaks of."""
    return [
        {
            "name": segment.name,
            "size_bytes": segment.size_bytes,
            "sha256": _sha256(segment.file),
            "history_lines": segment.history_count,
            "exit_code": segment.exit_code,
            "wandb": segment.wandb_version,
            "unreadable": segment.damage,
        }
        for segment in segments
    ]


def holds(folder: RunFolder, segments: Sequence[Segment], base_url: str | None) -> bool:
    """Tell whether the run's receipt speaks of just these segments as they are now, and of the server that is meant.

    `base_url` is the server's address where one is set; None is W&B's own, which is never on this machine.
    """
    try:
        receipt = read_json(folder.receipt_file)
        known, server = receipt["segments"], receipt["base_url"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
    if server != base_url if base_url else is_loopback(server):
        return False
    # Sizes first: hashing what has grown is work for nothing.
    sizes = [(item.get("name"), item.get("size_bytes")) for item in known]
    return sizes == [(segment.name, segment.size_bytes) for segment in segments] and known == fingerprints(segments)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _same(ours: Any, theirs: Any) -> bool:
    if is_mapping(ours) and is_mapping(theirs):
        return all(_same(value, theirs.get(key)) for key, value in ours.items())
    if isinstance(ours, float) and math.isnan(ours):
        # JSON has no NaN: W&B sends it as a text.
        return theirs == "NaN" or (isinstance(theirs, float) and math.isnan(theirs))
    if isinstance(ours, float) and math.isinf(ours):
        return theirs in (ours, "Infinity" if ours > 0 else "-Infinity")
    return ours == theirs
