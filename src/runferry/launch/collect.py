"""Copy the files that a command left on the node into the run's folder, however the command ended."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from runferry.system.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def collect_files(patterns: Iterable[str], data: Path, target: Path, note: Callable[[str], object]) -> list[str]:
    """Copy the files that match `patterns`, the newest first; return a line for each one that could not be copied.

    Each file appears whole or not at all, and replaces one of the same name, such as an earlier attempt's. The newest
    are first, because the time may be short and the last checkpoint is the one that is wanted.

    Parameters
    ----------
    patterns
        Relative to `data`; `**` is any number of folders. A folder that matches is copied with what is in it.
    data
        The folder of `$RUNFERRY_DATA`.
    target
        `collected` in the run's folder; the files keep their paths relative to `data`.
    note
        Takes a line for the run's log.
    """
    files: dict[Path, float] = {}
    problems: list[str] = []
    for pattern in patterns:
        found = [file for match in data.glob(pattern) for file in _files(match)]
        if not found:
            note(f"collect: nothing matches {pattern} in {data}")
        files |= {file: file.stat().st_mtime for file in found if not _is_staged(file, data)}
    size = 0
    for file in sorted(files, key=lambda file: files[file], reverse=True):
        try:
            size += _copy(file, target / file.relative_to(data))
        except OSError as error:
            problems.append(f"{file.relative_to(data)}: {error.strerror}")
    if files:
        note(f"collected {len(files) - len(problems)} of {len(files)} files ({size / 1e6:.0f} MB) in {target}")
    return problems


def _files(match: Path) -> list[Path]:
    if match.is_dir():
        return [file for file in match.rglob("*") if file.is_file()]
    return [match] if match.is_file() else []


def _is_staged(file: Path, data: Path) -> bool:
    # What was staged came from the shared disk, and is there.
    relative = file.relative_to(data)
    return any((data / parent).is_symlink() for parent in [relative, *relative.parents][:-1]) and not (
        file.resolve().is_relative_to(data.resolve())
    )


def _copy(file: Path, target: Path) -> int:
    with whole_file(target) as writing, file.open("rb") as reading:
        shutil.copyfileobj(reading, writing, 4 * 1024 * 1024)
        writing.flush()
        shutil.copystat(file, writing.name)
        return writing.tell()
