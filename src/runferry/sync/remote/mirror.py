"""Keep a copy of a site's segments and records, and go on with each file where the last line was cut."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.runs.folder import RunFolder
from runferry.sync.remote.connection import SiteError, checked
from runferry.sync.remote.contents import is_run, travels
from runferry.sync.remote.frames import LineError
from runferry.system.files import fsync_folder
from runferry.system.values import batches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runferry.sync.remote.frames import Line

FILES_AT_ONCE = 1000
"""In a request."""
_ROUNDS = 3
"""Of asking for files; what is not whole then has changed at each."""


@dataclass(frozen=True)
class Listed:
    """A file as the site lists it."""

    path: str
    size: int
    mtime_ns: int


@dataclass
class ListedRuns:
    """The runs of a site that have ended and have no receipt.

    Attributes
    ----------
    files
        The files of each, by `<experiment>/<run>`; those of experiments under the empty name.
    refused
        Runs that the site does not list, and why.
    training, receipts
        How many runs are training, and how many have a receipt there.
    """

    files: dict[str, list[Listed]] = field(default_factory=dict[str, list[Listed]])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    training: int = 0
    receipts: int = 0


def read_list(line: Line) -> ListedRuns:
    """Ask the site for its runs without a receipt.

    Raises
    ------
    LineError
        When the line ends.
    SiteError
        When the answer names what is no run's file: nothing of it is used.
    """
    line.send({"op": "list"})
    listed = ListedRuns()
    while True:
        header, body = line.receive()
        checked(header)
        if "end" in header:
            listed.training, listed.receipts = int(header["training"]), int(header["receipts"])
            return listed
        run = header.get("run") or ""
        if run and not is_run(run):
            raise SiteError(f"the site: found {str(run)[:200]!r} in its list, expected runs, <experiment>/<run>")
        if "refused" in header:
            listed.refused[run] = str(header["refused"])
        else:
            listed.files.setdefault(run, []).extend(map(_listed, json.loads(body or b"[]")))


def _listed(entry: Any) -> Listed:
    path, size, mtime_ns = entry
    if not travels(path) or type(size) is not int or type(mtime_ns) is not int or size < 0:
        raise SiteError(f"the site: found {str(path)[:200]!r} in its list, expected a file of a run")
    return Listed(path, size, mtime_ns)


class Mirror:
    """The copy of a site's results folder on this machine.

    Attributes
    ----------
    bytes_of_files : int
        That were received so far.
    """

    def __init__(self, root: Path) -> None:
        """Use the folder `root`, which is made where it is missing."""
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.bytes_of_files = 0

    def fetch(self, line: Line, files: Sequence[Listed], arrived: Callable[[int], None]) -> set[str]:
        """Bring the files that are not here as the site has them; return those that could not be had whole.

        Parameters
        ----------
        line
            To the site.
        files
            Those that are wanted, in the order in which they are brought.
        arrived
            Called with the bytes of each part that came.

        Raises
        ------
        LineError
            When the line ends; what has come is kept.
        """
        wanted = [file for file in files if not self._has(file)]
        for _ in range(_ROUNDS):
            failed: list[Listed] = []
            for batch in batches(wanted, FILES_AT_ONCE):
                by_path = {file.path: file for file in batch}
                line.send({"op": "get"}, json.dumps([[file.path, self._offset(file)] for file in batch]).encode())
                done = self._receive(line, by_path, arrived)
                failed += [file for file in batch if file.path not in done]
            if not failed:
                return set()
            wanted = failed
        return {file.path for file in wanted}

    def remove_other_segments(self, run: str, files: Sequence[Listed]) -> None:
        """Remove from a run's folder the segments that the site has no more: moved away there, or deleted."""
        there = {file.path.split("/")[3] for file in files if file.path.startswith(f"{run}/wandb/")}
        for segment in RunFolder(self.root / run).segments():
            if segment.name not in there:
                shutil.rmtree(segment)

    def _receive(self, line: Line, by_path: dict[str, Listed], arrived: Callable[[int], None]) -> set[str]:
        done: set[str] = set()
        while True:
            header, _ = line.receive()
            checked(header)
            if "end" in header:
                return done
            if "missing" in header:
                continue
            file = by_path.get(str(header.get("file")))
            if file is None:
                raise LineError("connection: found a file that was not asked for, expected one that was")
            if self._receive_file(line, file, int(header["offset"]), arrived):
                done.add(file.path)

    def _receive_file(self, line: Line, file: Listed, offset: int, arrived: Callable[[int], None]) -> bool:
        """Write what comes behind what is here; return whether the whole is what the site has."""
        partial = self._partial(file)
        partial.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with partial.open("a+b") as stream:
            stream.truncate(offset)
            stream.seek(0)
            while data := stream.read(2**20):
                digest.update(data)
            while True:
                header, data = line.receive()
                if "sha256" in checked(header):
                    break
                stream.write(data)
                # Each part, so that what came before a cut is here.
                stream.flush()
                digest.update(data)
                self.bytes_of_files += len(data)
                arrived(len(data))
            os.fsync(stream.fileno())
        if digest.hexdigest() != header["sha256"]:
            partial.unlink()
            return False
        mtime_ns = int(header["mtime_ns"])
        os.utime(partial, ns=(mtime_ns, mtime_ns))
        target = self.root / file.path
        partial.replace(target)
        fsync_folder(target.parent)
        return True

    def _has(self, file: Listed) -> bool:
        with suppress(OSError):
            status = (self.root / file.path).stat()
            return (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)
        return False

    def _offset(self, file: Listed) -> int:
        """Return how many bytes of a file are here already, in its partial copy."""
        partial, here = self._partial(file), self.root / file.path
        with suppress(OSError):
            # A log only grows; its beginning is not sent again.
            if file.path.endswith(".wandb") and not partial.exists() and here.stat().st_size <= file.size:
                here.replace(partial)
        with suppress(OSError):
            return min(partial.stat().st_size, file.size)
        return 0

    def _partial(self, file: Listed) -> Path:
        path = self.root / file.path
        return path.with_name(f".{path.name}.partial")
