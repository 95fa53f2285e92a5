"""Write a run's receipt, only where the server holds what the disk holds."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry import __version__
from runferry.runs.receipt import sha256, stamp_or_nothing
from runferry.runs.receipt_stamp import logs_on_disk
from runferry.sync.wandb.uploaded_files import promised_files
from runferry.system.files import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.runs.folder import RunFolder
    from runferry.sync.wandb.local import OnDisk
    from runferry.trackers.wandb.queries import RunOnServer
    from runferry.trackers.wandb.server import Server


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
    """Write the run's receipt: the values compared on both sides, and the versions.

    Parameters
    ----------
    place
        The run's entity and project on the server.
    missing
        Files and artifacts that are gone and that the user has said may be missing.
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
    """Describe every segment, also empty ones, so that a receipt shows which bytes it covers."""
    read = [
        {
            "name": segment.name,
            **stamp_or_nothing(segment.file),
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
        {"name": path.name, **stamp_or_nothing(logs[path]), "sha256": sha256(Path(logs[path])), "unreadable": why}
        for path, why in disk.left_out.items()
    ]
    before = disk.before.segments if disk.before else ()
    return sorted([*before, *read, *rest], key=lambda segment: str(segment["name"]).removeprefix("offline-"))
