"""Find and remove packed environments that nothing uses any more."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.system.files import read_json
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_OF_A_KEY = re.compile(r"^(?P<key>[0-9a-f]{20})\.(tar|tar\.zst|lock\.txt|packed\.json)$")
_PARTIAL = re.compile(r"^\..*\.partial$")
_ABANDONED_SECONDS = 600.0
"""A build writes its archive, its lock and its record one after the other, within seconds."""


@dataclass(frozen=True)
class Unused:
    """A file that can be removed, and the reason."""

    path: Path
    size_bytes: int
    reason: str


def unused_archives(results: Path) -> list[Unused]:
    """List the files of `results/environments/` that can be removed, and why; nothing is removed.

    An archive is used when a record names its key, and so is its lock. The lock of an environment that an attempt ran
    in stays, though its archive may go: it says what the run was trained with. What was written within ten minutes is
    not listed, as it may belong to a build that has not written its record yet.

    Parameters
    ----------
    results
        The folder of results.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    folder = results / "environments"
    if not folder.is_dir():
        return []
    used = _keys(folder.glob("*.json"), "key")
    ran: set[str] | None = None
    oldest = time.time() - _ABANDONED_SECONDS
    unused: list[Unused] = []
    for file in sorted(folder.iterdir()):
        status = file.lstat()
        match = _OF_A_KEY.match(file.name)
        if status.st_mtime > oldest or not (match or _PARTIAL.match(file.name)):
            continue
        if match is None:
            unused.append(Unused(file, status.st_size, "left behind by a build that was killed"))
        elif match["key"] not in used:
            if file.name.endswith(".lock.txt"):
                ran = _keys(results.glob("*/*/attempts/*.json"), "environment") if ran is None else ran
                if match["key"] in ran:
                    continue
            unused.append(Unused(file, status.st_size, "no record names it"))
    return unused


def remove_unused(unused: Iterable[Unused]) -> int:
    """Remove the files that `unused_archives` listed, and return their number.

    Raises
    ------
    OSError
        When a file cannot be removed.
    """
    count = 0
    for item in unused:
        item.path.unlink(missing_ok=True)
        count += 1
    return count


def _keys(files: Iterable[Path], name: str) -> set[str]:
    found: set[str] = set()
    for file in files:
        try:
            content = read_json(file)
        except (OSError, ValueError):
            continue
        if is_mapping(content) and isinstance(content.get(name), str):
            found.add(content[name])
    return found
