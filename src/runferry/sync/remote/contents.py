"""Define which files of a results folder travel: segments and records, and nothing else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.config.names import SWEEP_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_PATH = 1024
"""Characters of a path below the results folder."""
_RECORDS = frozenset({"run.json", "trained.json", "cleaned.json", "renamed.json"})
_OF_EXPERIMENT = frozenset({"runs.tsv", SWEEP_FILE})
_WHOLE = ("wandb-data", "comet")
"""Folders of a run that travel whole: what artifacts and media are staged in, and Comet's archives."""
_FOLDERS = ("attempts", "wandb", *_WHOLE)
_SEGMENTS = ("offline-run-", "run-")
_NOT_OF_SEGMENT = ("logs", "tmp")
_ENDINGS = (".synced", ".syncstate", ".partial")


def travels(path: object) -> bool:
    """Return whether a path below the results folder names a file that is brought.

    >>> travels("digits/k3j9x2ab/wandb/offline-run-20261127_061826-k3j9x2ab/run-k3j9x2ab.wandb")
    True
    >>> travels("digits/k3j9x2ab/../../.ssh/id_ed25519")
    False
    """
    if not isinstance(path, str) or not 0 < len(path) <= LONGEST_PATH or "\0" in path or path.endswith(_ENDINGS):
        return False
    parts = path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or parts[0].startswith(".") or len(parts) < 2:
        return False
    return parts[1] in _OF_EXPERIMENT if len(parts) == 2 else _of_run(parts[2:])


def _of_run(parts: list[str]) -> bool:
    match parts:
        case [name]:
            return name in _RECORDS
        case ["attempts", name]:
            return name.endswith(".json") and name.removesuffix(".json").isdigit()
        case ["wandb", segment, name, *_]:
            return segment.startswith(_SEGMENTS) and name not in _NOT_OF_SEGMENT
        case [folder, *_]:
            return folder in _WHOLE
        case _:
            return False


def is_run(name: object) -> bool:
    """Return whether a text can be the name of a run below the results folder, `<experiment>/<run>`."""
    return isinstance(name, str) and name.count("/") == 1 and travels(f"{name}/run.json")


def order(path: str) -> tuple[int, str]:
    """Return where a file comes among those of its run.

    An attempt's record comes before its segments, so that those that are still missing are known to be; `run.json`,
    without which a folder is no run, comes last.
    """
    name = path.split("/", 2)[-1]
    if name.startswith("attempts/"):
        return 0, name
    if name == "run.json":
        return 3, name
    return (2 if name in _RECORDS else 1), name.removeprefix("wandb/").removeprefix("offline-")


def files_of(root: Path, folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the path below `root` and the status of each file of a folder that travels.

    Parameters
    ----------
    root
        The results folder, without symbolic links in its path.
    folder
        Of a run.
    """
    for above, folders, names in os.walk(folder):
        # Not into checkpoints, of which there may be thousands.
        folders[:] = [name for name in folders if name in _FOLDERS or above != str(folder)]
        for name in names:
            path = os.path.relpath(os.path.join(above, name), root)  # noqa: PTH118 - thousands of them
            if travels(path) and (status := _status_within(root, path)):
                yield path, status


def open_within(root: Path, path: str) -> int | None:
    """Open a file for reading and return its descriptor; None where it is no regular file below `root`.

    What a symbolic link leads to is judged once it is open, so that nobody can put another in its place meanwhile.
    """
    try:
        # A pipe's end would be waited for.
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    real = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and real.is_relative_to(root):
        return descriptor
    os.close(descriptor)
    return None


def _status_within(root: Path, path: str) -> os.stat_result | None:
    file = root / path
    try:
        status = file.lstat()
        if stat.S_ISLNK(status.st_mode):
            if not Path(os.path.realpath(file)).is_relative_to(root):
                return None
            status = file.stat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None
