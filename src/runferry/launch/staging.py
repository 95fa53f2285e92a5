"""Copy or unpack data onto the node, once for all runs of a job that want it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import tempfile
import threading
import time
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from runferry.errors import LaunchError, PackingError
from runferry.system.disk_space import check_room
from runferry.system.locks import turn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from runferry.config.data import Item

_BUFFER = 4 * 1024 * 1024  # bytes; what one read from a parallel filesystem should be at least
PROGRESS_SECONDS = 10.0
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK": "zip"}


class CancelledError(Exception):
    """Raised in the staging thread when the launcher ends."""


@dataclass
class Staging:
    """Copies or unpacks items to places below `destination`, in a thread of its own.

    Attributes
    ----------
    items
        The data to stage.
    destination
        A node-local folder.
    note
        Takes a line for the run's log.
    """

    items: Sequence[Item]
    destination: Path
    note: Callable[[str], object]
    _places: dict[str, Path] = field(default_factory=dict[str, Path])
    _failure: BaseException | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)
    # Not the thread's join: interrupted by a signal's exception, it takes the thread for ended (CPython 3.11).
    _ended: threading.Event = field(default_factory=threading.Event)

    def missing_bytes(self) -> int:
        """Return the number of bytes still to be staged, as far as it is known without reading an archive.

        Raises
        ------
        LaunchError
            When a source is missing.
        """
        return sum(size_of(item) for item in self.items if not self._place(item).exists())

    def start(self) -> None:
        """Start staging in a thread."""
        if self.items:
            threading.Thread(target=self._stage_all, daemon=True).start()
        else:
            self._ended.set()

    def finish(self) -> dict[str, Path]:
        """Wait for the end and return the path of each item, by its `to`.

        Raises
        ------
        LaunchError
            When something could not be staged.
        """
        self._ended.wait()
        if self._failure:
            raise self._failure
        return self._places

    def cancel(self) -> None:
        """Cancel staging, once `start` was called, and remove half-written items."""
        self._cancelled.set()
        self._ended.wait()

    def _place(self, item: Item) -> Path:
        try:
            return self.destination / f"staged-{item.key}" / Path(item.to).name
        except OSError as error:
            raise LaunchError(
                f"{item.source}: cannot be staged: expected what can be read, found: {error.strerror}"
            ) from error

    def _stage_all(self) -> None:
        try:
            for item in self.items:
                place = self._place(item)
                self._places[item.to] = place
                self._stage(item, place)
        except CancelledError:
            pass
        except OSError as error:
            where = error.filename or self.destination
            self._failure = LaunchError(
                f"{where}: cannot be staged: expected a folder with room, found: {error.strerror}"
            )
        except (LaunchError, PackingError) as error:
            self._failure = error
        finally:
            self._ended.set()

    def _stage(self, item: Item, place: Path) -> None:
        folder = place.parent
        if folder.is_dir():
            self.note(f"{item.source.name} is on the node already")
            return
        waiting = f"waiting for another run of this job that stages {item.source.name}"
        with turn(self.destination / f".{folder.name}.lock", lambda: self.note(waiting)):
            if folder.is_dir():
                return
            for leftover in self.destination.glob(f".{folder.name}.*.partial"):
                shutil.rmtree(leftover, ignore_errors=True)
            check_room(self.destination, size_of(item), str(item.source))
            partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=self.destination))
            try:
                progress = _Progress(item.source.name, size_of(item), self.note, self._cancelled)
                _put(item, partial / place.name, progress)
                progress.done()
                partial.chmod(0o755)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)


def size_of(item: Item) -> int:
    """Return the bytes that an item takes on the node: exact for a copy, a zip and an uncompressed tar.

    Of a compressed tar it is the archive's size, which is a lower bound.

    Raises
    ------
    LaunchError
        When the source cannot be read.
    """
    try:
        if item.source.is_dir():
            return sum(file.stat().st_size for file in item.source.rglob("*") if file.is_file())
        if item.unpack and _format(item.source) == "zip":
            with zipfile.ZipFile(item.source) as archive:
                return sum(member.file_size for member in archive.infolist())
        return item.source.stat().st_size
    except (OSError, zipfile.BadZipFile) as error:
        raise LaunchError(f"{item.source}: cannot be staged: expected what can be read, found: {error}") from error


def _put(item: Item, target: Path, progress: _Progress) -> None:
    if not item.unpack:
        if item.source.is_dir():
            shutil.copytree(
                item.source, target, symlinks=True, copy_function=lambda a, b: _copy(Path(a), Path(b), progress)
            )
        else:
            _copy(item.source, target, progress)
        return
    target.mkdir()
    if _format(item.source) == "zip":
        _unzip(item.source, target, progress)
    else:
        _untar(item.source, target, progress)


def _copy(source: Path, target: Path, progress: _Progress) -> None:
    if not source.is_file():
        # A FIFO would be waited for, for ever.
        progress.note(f"{source} is not staged: found no regular file")
        return
    with source.open("rb") as reading, target.open("wb") as writing:
        while data := reading.read(_BUFFER):
            writing.write(data)
            progress.add(len(data))
    shutil.copystat(source, target)


def _unzip(source: Path, target: Path, progress: _Progress) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                # Takes `..` and a leading `/` out of names.
                archive.extract(member, target)
                progress.add(member.file_size)
    except (zipfile.BadZipFile, RuntimeError) as error:
        raise LaunchError(f"{source}: cannot be unpacked: expected a whole archive, found: {error}") from error


def _untar(source: Path, target: Path, progress: _Progress) -> None:
    command = ["tar", "--extract", "--file=-", f"--directory={target}", "--no-same-owner", "--no-same-permissions"]
    variables = {name: text for name, text in os.environ.items() if name != "TAR_OPTIONS"} | {"LC_ALL": "C"}
    with tempfile.TemporaryFile() as messages, source.open("rb") as packed:
        tar = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=messages, env=variables)
        assert tar.stdin is not None
        try:
            with _decompressed(packed, _format(source)) as content:
                before = 0
                while data := content.read(_BUFFER):
                    tar.stdin.write(data)
                    position = packed.tell()
                    progress.add(position - before)
                    before = position
            tar.stdin.close()
            code, reason = progress.wait_for(tar), ""
        except CancelledError:
            tar.kill()
            tar.wait()
            raise
        except BrokenPipeError:
            code, reason = tar.wait(), ""
        except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
            tar.kill()
            code, reason = tar.wait(), str(error)
        if code != 0:
            messages.seek(0)
            printed = messages.read().decode(errors="replace").splitlines()
            outside = [line for line in printed if "Member name contains '..'" in line]
            expected = "names that stay inside the folder" if outside else "a whole archive"
            said = reason or next(iter([*outside, *printed]), f"tar ended with {code}")
            raise LaunchError(f"{source}: cannot be unpacked: expected {expected}, found: {said}")


@contextmanager
def _decompressed(packed: IO[bytes], form: str) -> Generator[IO[bytes]]:
    if form == "gzip":
        yield cast("IO[bytes]", gzip.GzipFile(fileobj=packed))
    elif form == "bzip2":
        yield cast("IO[bytes]", bz2.BZ2File(packed))
    elif form == "xz":
        yield cast("IO[bytes]", lzma.LZMAFile(packed))  # noqa: SIM115 - `packed` is the caller's to close
    elif form == "zstd":
        import zstandard

        try:
            yield cast("IO[bytes]", zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True))
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
    else:
        yield packed


def _format(source: Path) -> str:
    with source.open("rb") as file:
        begin = file.read(6)
    return next((form for magic, form in _MAGIC.items() if begin.startswith(magic)), "tar")


class _Progress:
    """Says in the log how far one item is, every `PROGRESS_SECONDS`."""

    def __init__(self, name: str, total: int, note: Callable[[str], object], cancelled: threading.Event) -> None:
        self.name, self.total, self.note, self.cancelled = name, total, note, cancelled
        self.count = 0
        self.begin = self.said = time.monotonic()

    def add(self, count: int) -> None:
        if self.cancelled.is_set():
            raise CancelledError
        self.count += count
        now = time.monotonic()
        if now - self.said >= PROGRESS_SECONDS:
            self.said = now
            share = f"{100 * self.count // self.total} % of " if self.total else ""
            rate = self.count / (now - self.begin) / 1e6
            self.note(f"staging {self.name}: {share}{self.total / 1e6:.0f} MB, {rate:.0f} MB/s")

    def wait_for(self, process: subprocess.Popen[bytes]) -> int:
        while True:
            self.add(0)
            try:
                return process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                pass

    def done(self) -> None:
        seconds = time.monotonic() - self.begin
        self.note(f"staged {self.name} ({self.total / 1e6:.0f} MB in {seconds:.1f} s)")
