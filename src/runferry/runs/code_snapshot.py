"""Write a snapshot of the code, from which jobs run whatever is edited meanwhile."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

from runferry.errors import ConfigError
from runferry.runs.code import FOLDER, CodeState, state_of_files, write_state
from runferry.runs.code_files import CodeFile, describe, list_code

MOST_PINNED = 20_000
LARGEST_PINNED = 10_000_000
"""Files in a snapshot, and the bytes of one of them; larger ones are data, and stay where they are."""


def check_pinned(workdir: Path) -> tuple[Path, str | None, list[str]]:
    """Return the root, the commit and the files of what a snapshot of `workdir` would hold.

    Raises
    ------
    ConfigError
        When there are too many files.
    """
    root, commit, names = list_code(workdir)
    if names is None or len(names) > MOST_PINNED:
        message = (
            f"config: code: found pinned with too many files below {root}, expected {MOST_PINNED:,} at most; "
            "have git ignore what is no code (.gitignore), or leave `code` out"
        )
        raise ConfigError(message)
    return root, commit, names


def pin(results: Path, workdir: Path) -> CodeState:
    """Write all files of a command that runs in `workdir` into an archive in the results folder.

    Data, and what git ignores, is left where it is (see `LARGEST_PINNED`).

    Raises
    ------
    ConfigError
        As `check_pinned`.
    """
    root, commit, names = check_pinned(workdir)
    folder = results / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".snapshot.", suffix=".partial", dir=folder)
    files: dict[str, CodeFile] = {}
    try:
        with os.fdopen(descriptor, "wb") as writing:
            with tarfile.open(fileobj=writing, mode="w") as archive:
                for name in names:
                    if found := _add(archive, root, name):
                        files[name] = found
            writing.flush()
            os.fsync(writing.fileno())
        state = state_of_files(root, commit, files)
        Path(temporary).replace(archive_of(folder / f"{state.key}.json"))
    finally:
        Path(temporary).unlink(missing_ok=True)
    write_state(results, state)
    return state


def archive_of(state_file: Path) -> Path:
    """Return the archive beside a state's file; there is one where the state was pinned."""
    return state_file.with_suffix(".tar")


def _add(archive: tarfile.TarFile, root: Path, name: str) -> CodeFile | None:
    """Add a file to an archive and describe what was added, which is read once."""
    try:
        if not (root / name).is_file() or (root / name).stat().st_size > LARGEST_PINNED:
            return None
        with (root / name).open("rb") as stream:
            described = describe(stream, content := stream.read())
            mode = os.fstat(stream.fileno()).st_mode & 0o777
    except OSError:
        return None
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), mode | 0o600, described.mtime_ns // 10**9
    archive.addfile(entry, io.BytesIO(content))
    return described
