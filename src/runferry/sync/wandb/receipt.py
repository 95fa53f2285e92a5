"""The receipt: written only where the server holds what the disk holds."""

from __future__ import annotations

import hashlib
import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry import __version__
from runferry.files import read_json, write_json
from runferry.promised_files import promised_files
from runferry.receipt_stamp import STAMP_KEYS, is_for, known_and_there, logs_on_disk, stamp, unchanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.disk import OnDisk
    from runferry.run_folder import RunFolder
    from runferry.run_on_server import RunOnServer
    from runferry.server import Server


def write_receipt(  # noqa: PLR0913 - what it is written of
    folder: RunFolder,
    disk: OnDisk,
    there: RunOnServer,
    server: Server,
    place: tuple[str, str],
    *,
    missing: Sequence[str] = (),
    asked: bool = True,
) -> None:
    """Write the run's receipt: what was compared, on both sides, and with which versions.

    Parameters
    ----------
    place
        The run's entity and project on the server.
    missing
        Files and artifacts that are gone and that the person has said may be missing.
    asked
        False where the run was synced along with others: then it is the interim receipt, which `promote` makes the
        receipt when the run's own rule asks. (Snakemake removes a rule's output before it runs the rule.)

    Raises
    ------
    OSError
        When it cannot be written, as on a full disk; there is none then.
    """
    entity, project = place
    run = disk.run_id
    file = folder.receipt_file if asked else folder.interim_receipt_file
    write_json(
        file,
        {
            "run": run,
            "url": server.run_url(entity, project, run),
            "entity": entity,
            "project": project,
            "base_url": server.base_url,
            "verified": datetime.now(UTC).isoformat(timespec="seconds"),
            "segments": fingerprints(disk),
            "disk": {"history_lines": disk.history_lines, "last_step": disk.last_step, "state": disk.state},
            "server": {
                "history_lines": there.history_lines,
                "last_step": there.last_step,
                "state": there.state,
            },
            "files": len(promised_files(disk)),
            "artifacts": len(disk.artifacts),
            "missing": list(missing),
            "unreadable": disk.unreadable,
            "wandb": importlib.metadata.version("wandb"),
            "runferry": __version__,
        },
    )
    if file != folder.interim_receipt_file:
        folder.interim_receipt_file.unlink(missing_ok=True)


def fingerprints(disk: OnDisk) -> list[dict[str, Any]]:
    """Describe every segment, also those that hold nothing, so that a receipt shows which bytes it speaks of."""
    read = [
        {
            "name": segment.name,
            **_stamp(segment.file),
            # What was read: where it has grown since, the stamp must not hold.
            "size_bytes": segment.size_bytes,
            "sha256": sha256(segment.file),
            "history_lines": segment.history_count,
            "exit_code": segment.exit_code,
            "wandb": segment.wandb_version,
            "unreadable": segment.damage,
        }
        for segment in disk.segments
    ]
    logs = {path: logs_on_disk(str(path.parent.parent)).get(path.name, "") for path in disk.left_out}
    rest = [
        {"name": path.name, **_stamp(logs[path]), "sha256": sha256(Path(logs[path])), "unreadable": why}
        for path, why in disk.left_out.items()
    ]
    before = disk.before.segments if disk.before else ()
    return sorted([*before, *read, *rest], key=lambda segment: str(segment["name"]).removeprefix("offline-"))


def promote(folder: RunFolder, base_url: str | None) -> None:
    """Make the interim receipt of a run that is trained by now its receipt, where it holds and there is no other."""
    if not folder.receipt_file.exists() and holds(folder, base_url, interim=True):
        folder.interim_receipt_file.rename(folder.receipt_file)


def holds(folder: RunFolder, base_url: str | None, *, interim: bool = False) -> bool:
    """Tell whether the receipt speaks of just the segments on disk as they are now, and of the server that is meant.

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
            and all(_stamp(logs[name]).get("size_bytes") == item["size_bytes"] for name, item in known.items())
            and all(sha256(Path(logs[name])) == item["sha256"] for name, item in known.items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _stamp(file: Path | str) -> dict[str, Any]:
    return stamp(file) if file else dict.fromkeys(STAMP_KEYS)


def sha256(file: Path) -> str | None:
    """Hash a file's content; None where there is none."""
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
