"""Write files whole or not at all, and read JSON files."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def whole_file(path: Path, buffering: int = -1) -> Generator[IO[bytes]]:
    """Open a file that gets the name `path` when the block ends: a reader, or a crash, sees the old one or the new one.

    What is written goes to a temporary name in the same folder, is fsynced and renamed; the folder is created when it
    is missing and fsynced afterwards, so that the new name survives a power cut too.

    Parameters
    ----------
    path
        Of the file.
    buffering
        In bytes; as `open` has it.

    Raises
    ------
    OSError
        When the disk is full or the folder cannot be written; the temporary file is removed then, as it is when the
        block raises.
    """
    with _published(path, lambda temporary: temporary.replace(path), buffering) as file:
        yield file


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` whole or not at all.

    Raises
    ------
    OSError
        As `whole_file`.

    >>> from pathlib import Path
    >>> write_atomically(Path("made", "on", "the", "way.txt"), "content")
    >>> Path("made", "on", "the", "way.txt").read_text()
    'content'
    """
    with whole_file(path) as file:
        file.write(_bytes(content))


def write_new(path: Path, content: str | bytes) -> bool:
    """Write `content` to `path` as `write_atomically` does; return False and write nothing where the file exists.

    Raises
    ------
    OSError
        As `whole_file`.
    """

    def link(temporary: Path) -> None:
        # A link, unlike a rename, never replaces; and the name appears with the content in it, unlike O_EXCL.
        path.hardlink_to(temporary)
        temporary.unlink()

    try:
        with _published(path, link) as file:
            file.write(_bytes(content))
    except FileExistsError:
        return False
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


@contextmanager
def _published(path: Path, publish: Callable[[Path], object], buffering: int = -1) -> Generator[IO[bytes]]:
    """Yield a new file beside `path`; when it is on the disk, `publish` gives it its name."""

    def create() -> IO[bytes]:
        return tempfile.NamedTemporaryFile(
            "wb", buffering, prefix=f".{path.name}.", suffix=".partial", dir=path.parent, delete=False
        )

    # In this order, because the folder is nearly always there, and each look at it is a question to a server.
    try:
        file = create()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = create()
    temporary = Path(file.name)
    try:
        with file:
            # A temporary file is private; results are shared with the group as the umask says.
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            yield file
            file.flush()
            os.fsync(file.fileno())
        publish(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _umask() -> int:
    # The only way to read it without changing it for other threads is /proc (Linux, as are all sites).
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def beside(folder: Path, relative: str) -> Path:
    """Return the absolute path of `relative` to a folder, without `..` and without asking the file system."""
    return Path(os.path.abspath(folder / relative))  # noqa: PTH100 - resolve() asks the file system
