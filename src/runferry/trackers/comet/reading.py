"""Read the archives that comet_ml wrote offline."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.runs.receipt_stamp import archives_on_disk
from runferry.system.values import is_list, is_mapping
from runferry.trackers.comet.segments import (
    ATTEMPT_PREFIX,
    EXPERIMENT_FILE,
    MESSAGES_FILE,
    Archive,
    attempt_number,
    comet_folder,
)

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord


def list_segments(folder: RunFolder) -> list[Path]:
    """List the folders of a run's attempts that logged to Comet, in their order."""
    found = [path for path in comet_folder(folder).glob(f"{ATTEMPT_PREFIX}*") if attempt_number(path) is not None]
    return sorted(found, key=lambda path: attempt_number(path) or 0)


def read_archives(folder: RunFolder, run: RunRecord) -> tuple[list[Archive], dict[str, str]]:
    """Read a run's archives, in the order of their experiments, and the reasons why others are unreadable, by name.

    Parameters
    ----------
    run
        Its record, for what an experiment that was killed at its very start did not write itself.
    """
    found: list[Archive] = []
    unreadable: dict[str, str] = {}
    files = {name: Path(file) for name, file in archives_on_disk(str(folder.path)).items()}
    archived: set[tuple[int, int]] = set()
    for file in files.values():
        if file.suffix == ".zip" and (checksum := _checksum(file)):
            archived.add(checksum)
    for name, file in files.items():
        try:
            if file.suffix == ".zip":
                found.append(Archive(name, file, _metadata_in(file)))
            elif _checksum_of_file(file) not in archived:
                # Else the process was killed after the archive was made, before this was removed.
                found.append(Archive(name, file, _metadata_beside(file, folder, run)))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            unreadable[name] = _why(file, error)
    for name in list(unreadable):
        attempt, _, archive = name.partition("/")
        key = archive.partition("-")[0].removesuffix(".zip")
        if any(each.name.startswith(f"{attempt}/data-") and each.key == key for each in found):
            # Begun when the experiment began, and never filled; what belongs into it lies beside it.
            del unreadable[name]
    return sorted(
        found, key=lambda each: (attempt_number(each.file.parents[0 if each.ended else 1]) or 0, _start(each))
    ), unreadable


def _start(archive: Archive) -> int:
    return int(archive.metadata.get("start_time") or 0)


def _metadata_in(file: Path) -> dict[str, Any]:
    with zipfile.ZipFile(file) as archive:
        archive.getinfo(MESSAGES_FILE)
        return _checked(json.loads(archive.read(EXPERIMENT_FILE)))


def _metadata_beside(messages: Path, folder: RunFolder, run: RunRecord) -> dict[str, Any]:
    try:
        return _checked(json.loads((messages.parent / EXPERIMENT_FILE).read_bytes()))
    except (FileNotFoundError, ValueError, KeyError):
        comet, modified = run.of_comet, int(messages.stat().st_mtime * 1000)
        return {
            "offline_id": read_key(folder),
            "project_name": comet.project,
            "workspace": comet.workspace,
            "tags": list(comet.tags),
            "start_time": modified,
            "stop_time": modified,
            "resume_strategy": "get_or_create",
        }


def read_key(folder: RunFolder) -> str:
    """Read the key of the run's experiment, chosen by its first attempt.

    Raises
    ------
    FileNotFoundError
        When there was no attempt.
    """
    return (comet_folder(folder) / "experiment_key").read_text().strip()


def _checked(metadata: Any) -> dict[str, Any]:
    if not is_mapping(metadata) or not isinstance(metadata.get("offline_id"), str):
        message = f"{EXPERIMENT_FILE} names no experiment"
        raise ValueError(message)
    if not is_list(metadata.get("tags")):
        metadata["tags"] = []
    return metadata


def _checksum(file: Path) -> tuple[int, int] | None:
    try:
        with zipfile.ZipFile(file) as archive:
            messages = archive.getinfo(MESSAGES_FILE)
            return messages.file_size, messages.CRC
    except (OSError, KeyError, zipfile.BadZipFile):
        return None


def _checksum_of_file(file: Path) -> tuple[int, int]:
    checksum = size = 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            checksum, size = zlib.crc32(block, checksum), size + len(block)
    return size, checksum


def _why(file: Path, error: Exception) -> str:
    if file.suffix == ".zip" and isinstance(error, KeyError):
        return "the archive is empty: the experiment was not ended, and what it logged was on the node"
    return f"cannot be read ({error})"
