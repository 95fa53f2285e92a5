"""Answer `runferry pull` at the site: list runs without a receipt, send their files, take their receipts.

It reads and writes below the results folder only. What it writes are receipts, and only those that cover the segments
that are there, byte by byte; and, as any sync does, what Slurm says of attempts that could not record their own end.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError, RunferryError
from runferry.runs.continuation import settle_lost
from runferry.runs.folder import RunFolder
from runferry.runs.receipt_record import Receipt
from runferry.runs.state import is_under_way, last_attempt
from runferry.sync.lock import LockBusyError, results_lock
from runferry.sync.receipts import has_receipt
from runferry.sync.remote.contents import files_of, is_run, open_within, order, travels
from runferry.sync.remote.frames import CHUNK, GREETING, LARGEST_BODY, LineError
from runferry.sync.remote.receipts import write_sent_receipt
from runferry.system.records import from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runferry.sync.remote.frames import Line

MOST_FILES = 10_000
"""In one request."""


def folder_asked_for(folders: Sequence[Path], original_command: str | None) -> Path:
    """Return the results folder that a conversation is about, without symbolic links in its path.

    Parameters
    ----------
    folders
        Those that the command line names, which may be asked for.
    original_command
        `$SSH_ORIGINAL_COMMAND`, where the command is the only one that a key may run: what the other side has typed.
        None where it was typed as it is.

    Raises
    ------
    ConfigError
        When it is not one of these, or not there.
    """
    allowed = [folder.resolve() for folder in folders]
    chosen = allowed[0]
    if original_command is not None:
        try:
            words = shlex.split(original_command)
        except ValueError:
            words = []
        asked = folders[0].cwd() / words[-1] if len(words) > 1 and words[-2] == "serve-results" else None
        if asked is None or asked.resolve() not in allowed:
            wanted = " or ".join(str(folder) for folder in allowed)
            message = f"found the command {original_command[:200]!r}, expected serve-results with {wanted}"
            raise ConfigError(f"{message}: this key is for nothing else; run: runferry pull HOST:{allowed[0]}")
        chosen = asked.resolve()
    if not chosen.is_dir():
        raise ConfigError(f"{chosen}: found no such folder, expected the folder of results")
    return chosen


class _RefusedError(Exception):
    """A request that is not answered; its text is for the other side."""


class ResultsService:
    """Answers the requests of one conversation about one results folder."""

    def __init__(self, root: Path, line: Line) -> None:
        """Serve `root`, a path without symbolic links."""
        self._root = root
        self._line = line
        self._hold = ExitStack()
        self._answers: dict[str, Callable[[dict[str, Any], bytes], None]] = {
            "hold": self._take_hold,
            "list": self._list,
            "get": self._get,
            "receipt": self._take_receipt,
            "ping": lambda _header, _body: self._line.send({"ok": True}),
        }

    def serve(self) -> None:
        """Answer until the other side says goodbye or the line ends; the lock of the folder ends with it.

        Raises
        ------
        LineError
            When the line ended before the goodbye.
        """
        with self._hold:
            self._line.write(GREETING)
            self._line.send({"results": str(self._root)})
            while True:
                header, body = self._line.receive()
                if header.get("op") == "bye":
                    self._line.send({"ok": True})
                    return
                self._answer(header, body)

    def _answer(self, header: dict[str, Any], body: bytes) -> None:
        answer = self._answers.get(str(header.get("op")))
        try:
            if answer is None:
                raise _RefusedError("found a request that is not known, expected one of this version of runferry")
            answer(header, body)
        except LineError:
            raise
        except (_RefusedError, RunferryError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._line.send({"error": str(error)[:2000] or type(error).__name__})

    def _take_hold(self, _header: dict[str, Any], _body: bytes) -> None:
        """Keep every other sync of these results away for as long as this conversation lasts."""
        try:
            self._hold.enter_context(results_lock(self._root, lambda _line: None, wait=False))
        except LockBusyError:
            self._line.send({"busy": True})
        else:
            self._line.send({"ok": True})

    def _list(self, _header: dict[str, Any], _body: bytes) -> None:
        """List the runs that have ended and have no receipt, each with its files, then the experiments' own."""
        folders = [RunFolder(file.parent) for file in sorted(self._root.glob("*/*/run.json"))]
        settle_lost(folder for folder in folders if not folder.trained_file.exists())
        training = receipts = 0
        experiments: dict[str, None] = {}
        for folder in folders:
            if not is_run(name := f"{folder.path.parent.name}/{folder.path.name}"):
                continue
            if is_under_way(last_attempt(folder)):
                training += 1
            elif has_receipt(folder):
                receipts += 1
            elif _has_begun(folder):
                experiments[folder.path.parent.name] = None
                self._send_list(name, files_of(self._root, folder.path))
        for name in experiments:
            self._send_list(None, files_of(self._root, self._root / name))
        self._line.send({"end": True, "training": training, "receipts": receipts})

    def _send_list(self, run: str | None, files: Iterator[tuple[str, os.stat_result]]) -> None:
        listed = [[path, status.st_size, status.st_mtime_ns] for path, status in files if run or path.count("/") == 1]
        listed.sort(key=lambda entry: order(str(entry[0])))
        body = json.dumps(listed).encode()
        if len(body) > LARGEST_BODY:
            self._line.send({"run": run, "refused": f"found {len(listed)} files, expected fewer"})
        else:
            self._line.send({"run": run}, body)

    def _get(self, _header: dict[str, Any], body: bytes) -> None:
        for path, offset in _files_asked_for(body):
            descriptor = open_within(self._root, path)
            if descriptor is None:
                self._line.send({"missing": path})
                continue
            try:
                self._send_file(path, descriptor, offset)
            finally:
                os.close(descriptor)
        self._line.send({"end": True})

    def _send_file(self, path: str, descriptor: int, offset: int) -> None:
        """Send a file from an offset on, as far as it goes now, and the SHA-256 of all of it."""
        status = os.fstat(descriptor)
        self._line.send({"file": path, "offset": min(offset, status.st_size)})
        digest = hashlib.sha256()
        done = 0
        while done < status.st_size:
            # First what the other side has, which only counts.
            end = offset if done < offset else status.st_size
            data = os.pread(descriptor, min(CHUNK, end - done), done)
            if not data:
                break
            digest.update(data)
            if done >= offset:
                self._line.send({"data": True}, data)
            done += len(data)
        self._line.send({"sha256": digest.hexdigest(), "mtime_ns": status.st_mtime_ns})

    def _take_receipt(self, header: dict[str, Any], body: bytes) -> None:
        run = header.get("run")
        folder = RunFolder(self._root / run) if is_run(run) and isinstance(run, str) else None
        if folder is None or folder.path.resolve() != folder.path or not folder.run_file.is_file():
            raise _RefusedError("found no such run here, expected one of the list")
        receipt = from_json(Receipt, json.loads(body), "the receipt")
        if is_under_way(last_attempt(folder)):
            raise _RefusedError("found that it trains again, expected it to have ended; its receipt comes after that")
        if why := write_sent_receipt(folder, receipt):
            raise _RefusedError(why)
        self._line.send({"ok": True})


def _files_asked_for(body: bytes) -> list[tuple[str, int]]:
    asked: Any = json.loads(body)
    if len(asked) > MOST_FILES:
        raise _RefusedError(f"found {len(asked)} files in a request, expected {MOST_FILES} at most")
    for path, offset in asked:
        if not travels(path):
            raise _RefusedError(f"found {str(path)[:200]!r}, expected a segment or a record of a run")
        if type(offset) is not int or offset < 0:
            raise _RefusedError(f"found the offset {str(offset)[:20]}, expected a number of bytes")
    return [(path, offset) for path, offset in asked]


def _has_begun(folder: RunFolder) -> bool:
    return bool(folder.attempt_numbers() or folder.segment_names())
