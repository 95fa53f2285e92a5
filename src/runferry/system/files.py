"""Write files whole or not at all, and read JSON files."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` so that a reader, or a crash, sees the old file or the new one and nothing between.

    The content goes to a temporary name in the same folder, is fsynced and renamed; the folder is created when it
    is missing and fsynced afterwards, so that the new name survives a power cut too.

    Raises
    ------
    OSError
        When the disk is full or the folder cannot be written; the temporary file is removed then.
    """
    temporary = _write_temporary(path, content)
    try:
        os.replace(temporary, path)  # noqa: PTH105 - a str from mkstemp
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def write_new(path: Path, content: str | bytes) -> bool:
    """Write `content` to `path` as `write_atomically` does; return False and write nothing where the file exists.

    Raises
    ------
    OSError
        As `write_atomically`.
    """
    temporary = _write_temporary(path, content)
    try:
        # A link, unlike a rename, never replaces; and the name appears with the content in it, unlike O_EXCL.
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        Path(temporary).unlink(missing_ok=True)
    fsync_folder(path.parent)
    return True


def write_numbered(file: Path, text: str) -> Path:
    """Write a new file, with a number behind its name where there is one already; return which.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    number = 1
    while True:
        found = file if number == 1 else file.with_stem(f"{file.stem}-{number}")
        if write_new(found, text):
            return found
        number += 1


def link_atomically(path: Path, existing: Path) -> None:
    """Make `path` a hard link to `existing`; a file of that name is replaced at once, never missing.

    Raises
    ------
    OSError
        When the filesystem has no hard links, or the file has all that it can have; what had the name has it still.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}.partial"
    temporary.unlink(missing_ok=True)
    temporary.hardlink_to(existing)
    try:
        temporary.replace(path)
    finally:
        # A rename between two names of one file does nothing (rename(2)).
        temporary.unlink(missing_ok=True)
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable (a rename alone is not)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with `write_atomically`."""
    write_atomically(path, json_text(value))


def json_text(value: Any) -> str:
    """Return `value` as the text of a JSON file: indented, with a newline at its end."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    FileNotFoundError
        When there is none.
    ValueError
        When it is not JSON; the message names the file.
    """
    try:
        # Bytes are UTF-8 to it, whatever the locale says.
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        message = f"{path}: expected JSON, found {error}"
        raise ValueError(message) from error


def _write_temporary(path: Path, content: str | bytes) -> str:
    """Write `content` to a new file beside `path`, on the disk when this returns, and return its name."""
    data = content.encode() if isinstance(content, str) else content

    def create() -> tuple[int, str]:
        return tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)

    # In this order, because the folder is nearly always there, and each look at it is a question to a server.
    try:
        descriptor, temporary = create()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = create()
    try:
        with os.fdopen(descriptor, "wb") as file:
            # mkstemp makes files private; results are shared with the group as the umask says.
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return temporary


def _umask() -> int:
    # The only way to read it without changing it for other threads is /proc (Linux, as are all sites).
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def beside(folder: Path, relative: str) -> Path:
    """Return the absolute path of `relative` to a folder, without `..` and without asking the file system."""
    return Path(os.path.abspath(folder / relative))  # noqa: PTH100 - resolve() asks the file system
