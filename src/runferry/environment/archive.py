"""The archive of an environment: its layout, and unpacking it fast.

An archive is an ordinary `.tar.zst` that `tar --zstd -x` reads. What makes it fast is where its zstd frames begin:
each begins with a tar member, so that any frame is a small tar of its own and several processes can extract at
once. The first frame holds the directories, because the others need them. The last one is a skippable frame with the
frames' sizes, in the Zstandard Seekable Format (contrib/seekable_format in the zstd sources), which a plain
decompressor passes over.

Measured on two idle cores and tmpfs (numpy, pandas, scikit-learn, wandb; 471 MB, 16,585 entries), medians: `tar -x` of
the uncompressed tree 0.42 s; one zstd stream into one `tar` 0.58; frames of 4 MiB into two `tar` 0.47, and 0.44 with
records of 64 KiB in place of tar's 10 KiB. Extracting in Python itself took 0.42, too little to leave tar for. In CPU
time it is 0.83 s against 0.41 (0.36 of it zstd, 0.1 the sha256), which is what it takes where only one core is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import zstandard

from runferry.environment.record import Record, read_record
from runferry.environment.room import check_room
from runferry.errors import PackingError
from runferry.turn import turn

SEEK_TABLE_MAGIC = 0x184D2A5E
SEEK_TABLE_ENTRY = struct.Struct("<II")  # compressed and uncompressed size of a frame, bytes
SEEK_TABLE_FOOTER = struct.Struct("<IBI")  # number of frames, flags, magic
SEEK_TABLE_FOOTER_MAGIC = 0x8F92EAB1
SKIPPABLE_HEADER = struct.Struct("<II")  # magic, bytes that follow

# More than this gained nothing even where cores were free: creating files is then what takes the time.
_MOST_PROCESSES = 4
_BUFFER = 256 * 1024  # bytes; larger ones leave the processor's cache and are slower (1 MiB: +10 %)
_PIPE = 1024 * 1024  # bytes, Linux's default limit for a user
_TAR_RECORD = 128  # blocks of 512 bytes: tar reads and writes in pieces of 64 KiB


@dataclass(frozen=True)
class Frame:
    """One zstd frame of an archive."""

    offset: int
    """Bytes from the archive's begin."""
    size: int
    """Bytes, compressed."""
    unpacked_size: int


def unpack(record_file: Path, destination: Path) -> Path:
    """Unpack the environment of `record_file` below `destination` and return its folder (`bin/python` is in it).

    The archive's sha256 is checked while it is extracted. The folder is `destination/environment-<key>` and gets
    this name when all is well, so that one that is there is whole and is used again; jobs that share the
    destination wait for each other. What an interrupted call left behind is removed by the next.

    Raises
    ------
    PackingError
        When the record or the archive is missing, damaged or does not fit the other; when the environment's Python is
        not on this machine; when the disk has too little room.
    """
    record = read_record(record_file)
    folder = destination / f"environment-{record.key}"
    if not Path(record.python).exists():
        message = (
            f"{record_file}: found no {record.python} on {os.uname().nodename}, expected the environment's Python; "
            "build the environment with a Python that every node sees (environment.python, environment.modules)"
        )
        raise PackingError(message)
    if folder.is_dir():
        return folder
    try:
        destination.mkdir(parents=True, exist_ok=True)
        with turn(destination / f".environment-{record.key}.lock"):
            if not folder.is_dir():
                _unpack_anew(record, record_file.parent / record.archive, folder)
    except OSError as error:
        message = f"{destination}: expected the environment to be unpacked here, found: {error}"
        raise PackingError(message) from error
    return folder


def read_frames(archive: Path) -> list[Frame]:
    """Read where the frames of `archive` are from its seek table.

    Raises
    ------
    PackingError
        When there is no such file, or no table that fits it at its end.
    """
    try:
        with archive.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - SEEK_TABLE_FOOTER.size))
            count, flags, magic = SEEK_TABLE_FOOTER.unpack(file.read())
            table = SKIPPABLE_HEADER.size + count * SEEK_TABLE_ENTRY.size + SEEK_TABLE_FOOTER.size
            if magic != SEEK_TABLE_FOOTER_MAGIC or flags != 0 or table > size:
                raise struct.error
            file.seek(size - table + SKIPPABLE_HEADER.size)
            entries = list(SEEK_TABLE_ENTRY.iter_unpack(file.read(count * SEEK_TABLE_ENTRY.size)))
    except FileNotFoundError as error:
        message = f"{archive}: found no such archive, expected it beside its record; build the environment again"
        raise PackingError(message) from error
    except struct.error as error:
        message = (
            f"{archive}: found not a whole archive, expected a table of frames at its end; build the environment again"
        )
        raise PackingError(message) from error
    frames: list[Frame] = []
    offset = 0
    for compressed, uncompressed in entries:
        frames.append(Frame(offset, compressed, uncompressed))
        offset += compressed
    if offset + table != size:
        message = (
            f"{archive}: found {size} bytes, expected as many as its table of frames says; build the environment again"
        )
        raise PackingError(message)
    return frames


def _unpack_anew(record: Record, archive: Path, folder: Path) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    check_room(folder.parent, record.unpacked_bytes, "the environment", inodes=record.files)
    partial = folder.with_name(f".{folder.name}.{os.urandom(4).hex()}.partial")
    partial.mkdir()
    try:
        _Extraction(archive, partial).run(record.sha256)
        try:
            partial.rename(folder)
        except OSError:
            # Without a working lock another may have been faster; its folder is as good.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Extraction:
    """Extracts an archive with several `tar` processes, each fed by a thread, while another thread verifies it."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self.archive = archive
        self.folder = folder
        self.waiting: deque[Frame] = deque()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.failures: list[str] = []
        self.interrupted = threading.Event()
        self.found = ""
        self.descriptor = -1

    def run(self, sha256: str) -> None:
        """Extract everything and compare the archive's sha256 with the one given.

        Raises
        ------
        PackingError
            When they differ or something could not be extracted.
        """
        frames = read_frames(self.archive)
        # Opened once for all threads: on a parallel filesystem each open is a question to its metadata server.
        with self.archive.open("rb", buffering=0) as file:
            self.descriptor = file.fileno()
            self._run(frames)
        # A damaged archive fails in many ways, and in none of them is the disk or tar to blame.
        if self.found and self.found != sha256:
            message = (
                f"{self.archive}: damaged: found the sha256 {self.found[:12]}..., expected {sha256[:12]}...; "
                "build the environment again"
            )
            raise PackingError(message)
        if self.failures:
            where = self.folder.parent
            message = f"{self.archive}: cannot be extracted in {where}: expected room for it, found {self.failures[0]}"
            raise PackingError(message)

    def _run(self, frames: list[Frame]) -> None:
        verification = threading.Thread(target=self._verify, daemon=True)
        count = min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
        workers = [threading.Thread(target=self._extract, daemon=True) for _ in range(count)]
        running = [verification]
        try:
            verification.start()
            self.waiting.extend(frames[:1])
            self._extract()
            self.waiting.extend(frames[1:])
            for worker in workers:
                worker.start()
                running.append(worker)
            for thread in running:
                thread.join()
        except BaseException:
            self.interrupted.set()
            for process in self.processes:
                process.kill()
            for thread in running:
                thread.join()
            raise

    def _verify(self) -> None:
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(_BUFFER))
        position = 0
        try:
            while not self.interrupted.is_set() and (count := os.preadv(self.descriptor, [buffer], position)):
                digest.update(buffer[:count])
                position += count
        except OSError as error:
            self.failures.append(str(error))
        else:
            self.found = digest.hexdigest()

    def _extract(self) -> None:
        """Feed one `tar` with frames until none is waiting or something failed."""
        try:
            with _Tar(self.folder) as tar:
                self.processes.append(tar.process)
                while self.waiting and not self.failures and not self.interrupted.is_set():
                    # Between the look and this line another thread may have taken the last one.
                    with contextlib.suppress(IndexError):
                        tar.feed(self.descriptor, self.waiting.popleft())
        except (OSError, zstandard.ZstdError, PackingError) as error:
            self.failures.append(str(error))


class _Tar:
    """One `tar --extract` that reads what `feed` decompresses."""

    def __init__(self, folder: Path) -> None:
        # A file without a name: a pipe could fill up, and the disk may be what is full.
        self.messages = os.fdopen(os.memfd_create("tar"), "w+b")
        environment = {name: value for name, value in os.environ.items() if name != "TAR_OPTIONS"} | {"LC_ALL": "C"}
        command = ["tar", "--extract", "--file=-", f"--directory={folder}", f"--blocking-factor={_TAR_RECORD}"]
        # The umask decides, as for any file that is new; for root these are not the defaults.
        command += ["--no-same-owner", "--no-same-permissions"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=self.messages, env=environment, bufsize=0
        )
        assert self.process.stdin is not None
        self.input = self.process.stdin
        self.buffer = memoryview(bytearray(_BUFFER))
        self.decompressor = zstandard.ZstdDecompressor()
        # A smaller pipe is slower, not wrong.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.input, fcntl.F_SETPIPE_SZ, _PIPE)

    def __enter__(self) -> _Tar:
        return self

    def feed(self, file: int, frame: Frame) -> None:
        """Decompress one frame of the open `file` into tar's input.

        Raises
        ------
        PackingError
            When the frame is shorter or longer than the table says.
        zstandard.ZstdError
            When it is not zstd or its checksum is wrong.
        OSError
            When it cannot be read, or tar has ended.
        """
        written = 0
        reader = self.decompressor.stream_reader(cast("IO[bytes]", _Section(file, frame)))
        while count := reader.readinto(self.buffer):  # pyright: ignore[reportUnknownMemberType] - its type is unfinished
            start = 0
            while start < count:
                start += os.write(self.input.fileno(), self.buffer[start:count])
            written += count
        if written != frame.unpacked_size:
            message = f"found a frame of {written} bytes, expected {frame.unpacked_size}"
            raise PackingError(message)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.input.close()
        code = self.process.wait()
        self.messages.seek(0)
        first = self.messages.readline().decode(errors="replace").strip()
        self.messages.close()
        # If tar ended early, feeding it failed with a broken pipe, and why is what tar said.
        if code != 0 and (error is None or isinstance(error, BrokenPipeError)):
            raise PackingError(
                f"expected an archive that tar unpacks, found: {first or f'exit code {code}'}"
            ) from error


class _Section:
    """The bytes of one frame as something to read from; `os.pread` lets threads share the file."""

    def __init__(self, file: int, frame: Frame) -> None:
        self.file = file
        self.position = frame.offset
        self.end = frame.offset + frame.size

    def read(self, size: int = -1) -> bytes:
        left = self.end - self.position
        data = os.pread(self.file, left if size < 0 else min(size, left), self.position)
        self.position += len(data)
        return data
