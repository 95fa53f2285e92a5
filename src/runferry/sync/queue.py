"""Queue requests for syncs, so that the holder of a results folder's lock syncs the runs of all that wait.

Each `runferry sync` first leaves a request, a file of its own in `.sync/requests/`, and then takes the lock. The one
that gets it answers every request that is there; the others, when they get the lock in their turn, find their answer.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from runferry.runs.folder import FOLDER, RunFolder
from runferry.system.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


Answer = dict[str, str | None]
"""For each run, by its path below the results folder: why it has no receipt; None where it has one."""

KEPT_SECONDS = 24 * 3600.0
"""After which an answer is removed that nobody came for."""


class SyncQueue:
    """The requests and answers of one results folder."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._requests = results / FOLDER / "requests"
        self._answers = results / FOLDER / "answers"

    def ask(self, folders: Iterable[RunFolder]) -> str:
        """Write a request for a sync of runs and return its name."""
        name = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}.json"
        write_json(self._requests / name, [self.key(folder) for folder in folders])
        return name

    def take_answer(self, request: str) -> Answer | None:
        """Return the answer to a request and remove it; None when there is none yet."""
        try:
            answer: Answer = read_json(self._answers / request)
        except (FileNotFoundError, ValueError):
            return None
        (self._answers / request).unlink(missing_ok=True)
        return answer

    def withdraw(self, request: str) -> None:
        """Remove a request whose process gives up."""
        (self._requests / request).unlink(missing_ok=True)

    def waiting(self) -> dict[str, list[RunFolder]]:
        """Return the runs of every request that waits, by the request's name."""
        found: dict[str, list[RunFolder]] = {}
        for file in sorted(self._requests.glob("*.json")):
            with suppress(FileNotFoundError, ValueError):
                runs: list[str] = json.loads(file.read_text())
                found[file.name] = [RunFolder(self.results / run) for run in runs]
        return found

    def answer(self, requests: Iterable[str], problems: Mapping[str, str | None]) -> None:
        """Answer the requests whose runs are all in `problems`; other requests are left."""
        for request in requests:
            file = self._requests / request
            with suppress(FileNotFoundError, ValueError):
                runs: list[str] = json.loads(file.read_text())
                if all(run in problems for run in runs):
                    write_json(self._answers / request, {run: problems[run] for run in runs})
                    file.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove old answers: the processes that asked for them were killed before they read them."""
        oldest = time.time() - KEPT_SECONDS
        for file in self._answers.glob("*.json"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < oldest:
                    file.unlink()

    def key(self, folder: RunFolder) -> str:
        """Return the name of a run within this results folder."""
        path = folder.path.resolve()
        return f"{path.parent.name}/{path.name}"


REMEMBERED_SECONDS = 60.0


class RecentFailure:
    """Remembers a server failure for a minute."""

    def __init__(self, results: Path) -> None:
        self._file = results / FOLDER / "trouble.json"

    def remember(self, base_url: str | None, line: str) -> None:
        """Write the line that describes the failure."""
        write_json(self._file, {"base_url": base_url, "line": line, "time": time.time()})

    def recent(self, base_url: str | None) -> str | None:
        """Return the line of this server's failure where it is less than a minute old; else None."""
        try:
            found = read_json(self._file)
            age = time.time() - found["time"]
            return found["line"] if found["base_url"] == base_url and 0 <= age < REMEMBERED_SECONDS else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def forget(self) -> None:
        """Remove the failure, because the server answers again."""
        self._file.unlink(missing_ok=True)
