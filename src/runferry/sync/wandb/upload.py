"""Call `wandb sync`, in the dialect of wandb 0.31 that the controller requires; no other module does.

The exit code and the `.synced` marker of `wandb sync` are not believed (it exits 0 and marks a run as synced after the
server refused every row); what it did is found out by asking the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from runferry.errors import ServerError
from runferry.sync.outcome import PARALLEL_RUNS
from runferry.sync.upload_process import how_ended, last_words, sending, wait_for
from runferry.system.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from runferry.trackers.wandb.server import Server


# What a user has set for training says nothing about syncing, and some of it would change what is sent where.
_KEPT = ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_HTTP_TIMEOUT", "WANDB_APP_URL", "WANDB_ERROR_REPORTING")

# wandb-core spends a ninth of its CPU on collecting garbage. With this it needs 8.3 CPU s where it needs 9.3, and 0.1
# GB more (20 runs of 10,000 rows, three times each in turn; with the verification around it 0.2 GB more). From half a
# GB on it collects as often as it needs.
_COLLECT_SELDOM = {"GOGC": "400", "GOMEMLIMIT": "512MiB"}


@dataclass(frozen=True)
class SyncCall:
    """The settings of a call of `wandb sync`."""

    results: Path
    """The folder whose lock is held."""
    deadline: float
    """Seconds after which the process is ended; wandb itself would try for days."""
    parallel: int = PARALLEL_RUNS
    resume: bool = True
    """Whether the server may have something of one of the runs, or there are several segments of one: then a segment
    goes on at the server's last step. From 0.31 on segments say so themselves."""
    log: IO[str] | None = None
    """Where its output goes; None is nowhere."""
    look: Callable[[], None] = lambda: None
    """Called several times a second while it runs."""


def send(segments: Sequence[Path], server: Server, call: SyncCall) -> dict[Path, int]:
    """Send segments to the server in one `wandb sync` process; segments of one run go up in the order of their start.

    What the server has of a run is continued, after its last line and step.

    Parameters
    ----------
    segments
        Their folders, `offline-run-*` or `run-*`.

    Returns
    -------
    dict
        The HTTP status, 401 or 403, of each segment that the server refused because of the key.

    Raises
    ------
    ServerError
        When the deadline passed, the server does not know the key, or `wandb sync` could not be started, was killed
        or failed, with its own words. How much was sent is not known then.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_") or key in _KEPT}
    environment = _COLLECT_SELDOM | environment
    environment |= {"WANDB_BASE_URL": server.base_url, "WANDB_API_KEY": server.key}
    try:
        # One that exists: wandb-core takes TMPDIR as it is.
        environment["TMPDIR"] = tempfile.gettempdir()
    except OSError as error:
        raise ServerError(f"wandb sync could not be started: {error.strerror}; set TMPDIR to a folder") from error
    if call.resume:
        environment["WANDB_RESUME"] = "allow"
    for segment in segments:
        unmark(segment)
    with temporary_folder() as folder:
        # Its debug logs go here, not into the folder that the user stands in.
        environment["WANDB_DIR"] = str(folder)
        command = [sys.executable, "-m", "wandb", "sync"]
        # A segment of an online run is left out otherwise, though it is named.
        command += ["--include-synced", "--include-online", "-n", str(call.parallel)]
        command += [str(segment.resolve()) for segment in segments]
        refusals = Refusals(folder, server.base_url)

        def look() -> None:
            call.look()
            refusals.look()
            if refusals.key_unknown:
                raise ServerError(server.refusal(KEY_UNKNOWN))

        try:
            with _output(call.log, folder) as output:
                begin = os.fstat(output.fileno()).st_size
                with sending(command, environment, call.results, folder, output) as process:
                    wait_for(process, "wandb sync", server.base_url, call.deadline, look)
                    refusals.look()
                if process.returncode and not refusals.status_of:
                    said = last_words(output, begin).replace(server.key, "(the key)")
                    raise ServerError(f"wandb sync {how_ended(process.returncode)} and said: {said or 'nothing'}")
        finally:
            if call.log:
                for file in sorted(folder.glob("**/debug-*.log")):
                    call.log.write(f"--- {file.name}\n{file.read_text(errors='replace')}")
                call.log.flush()
    # Symbolic links are resolved in what wandb was told.
    found = {segment.resolve(): segment for segment in segments}
    return {found[path]: status for path, status in refusals.status_of.items() if path in found}


@contextlib.contextmanager
def _output(log: IO[str] | None, folder: Path) -> Generator[IO[str]]:
    if log:
        log.flush()
        yield log
    else:
        with (folder / "output.txt").open("w") as file:
            yield file


def is_marked(segment: Path) -> bool:
    """Return whether `wandb sync` has marked a segment as done; good enough for a progress bar only."""
    return any(segment.glob("*.wandb.synced"))


def unmark(segment: Path) -> None:
    """Remove the files in which `wandb sync` marks a segment as done.

    Its `.synced` says that all has arrived when it has not, and `wandb clean` believes it; `.syncstate` holds the step
    at which an earlier sync began, which is not where the next one has to.
    """
    for marker in (*segment.glob("*.wandb.synced"), *segment.glob("*.wandb.syncstate")):
        marker.unlink(missing_ok=True)


KEY_UNKNOWN = 401


FORBIDDEN = 403


class Refusals:
    """The segments that the server has refused so far because of the key.

    Attributes
    ----------
    status_of : dict
        HTTP status, 401 or 403, by the folder of the segment that was being sent.
    """

    def __init__(self, folder: Path, base_url: str) -> None:
        """Follow the logs below `folder`, of what was asked of the server at `base_url`."""
        self.status_of: dict[Path, int] = {}
        self._folder = folder
        self._asked = (f"{base_url}/graphql", f"{base_url}/files/")
        self._read: dict[Path, int] = {}

    @property
    def key_unknown(self) -> bool:
        """Return whether the server does not know the key, so that no other run needs to be tried."""
        return KEY_UNKNOWN in self.status_of.values()

    def look(self) -> None:
        """Read the new lines of the logs."""
        for line in self._lines():
            if b'"api: HTTP error"' not in line:
                continue
            try:
                said = json.loads(line)
                if said["status"] in {KEY_UNKNOWN, FORBIDDEN} and said["url"].startswith(self._asked):
                    self.status_of[Path(said["sync_path"]).parent] = said["status"]
            except (ValueError, KeyError, TypeError, AttributeError):
                continue

    def _lines(self) -> Iterator[bytes]:
        for file in self._folder.glob("**/debug-sync*.log"):
            with file.open("rb") as log:
                log.seek(self._read.get(file, 0))
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    self._read[file] = self._read.get(file, 0) + len(line)
                    yield line
