"""Write archives for `comet upload` and call it; no other module does.

The exit code of `comet upload` is not believed: it says "Done!" and exits with 0 where the server refused every value,
or a file (see `docs/comet.md`). What it did is found out by asking the server.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from runferry.errors import ServerError
from runferry.sync.upload_process import sending, wait_for
from runferry.trackers.comet.segments import (
    EXPERIMENT_FILE,
    FILE,
    MESSAGES_FILE,
    METRIC,
    REMOTE_FILE,
    asset_of,
    metric_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from runferry.trackers.comet.segments import Archive, Point
    from runferry.trackers.comet.server import CometServer

ADDED_EACH_TIME = frozenset({"standard_output", "ws_msg", "remote_model", "register_model"})
"""Kinds of messages of which the server would have twice what is sent twice; the others it replaces."""
# Where a user's settings would send things elsewhere, or nowhere.
_NOT_KEPT = re.compile(
    r"COMET_(WORKSPACE|PROJECT_NAME|EXPERIMENT_KEY|API_KEY|URL_OVERRIDE|OFFLINE\w*|START_\w+|LOGGING_\w+)"
)


@dataclass(frozen=True)
class Selection:
    """The parts of an archive that are sent.

    Attributes
    ----------
    metrics : dict or None
        How many of each value are still to be sent, by the metric's name; what is sent is taken off. None for all.
    assets : set of str
        Ids of files that the server has already.
    again : bool
        Whether the archive may have been sent before, in part: then nothing is sent that would be there twice.
    error : str or None
        What the experiment is to be shown as having ended with.
    """

    metrics: dict[str, Counter[Point]] | None = None
    assets: set[str] = field(default_factory=set[str])
    again: bool = False
    error: str | None = None

    def takes(self, message: Mapping[str, Any]) -> bool:
        """Return whether a message is sent, and count it."""
        kind, payload = message.get("type"), message["payload"]
        if kind == METRIC and self.metrics is not None:
            name, point = metric_of(payload)
            left = self.metrics.get(name, Counter[Any]())
            if left[point] <= 0:
                return False
            left[point] -= 1
        elif kind in {FILE, REMOTE_FILE}:
            asset = asset_of(payload)
            return asset not in self.assets if asset else not self.again
        return not (self.again and kind in ADDED_EACH_TIME)


def write_archive(source: Archive, selection: Selection, target: Path) -> None:
    """Write an archive for `comet upload`, from one that Comet made or from the files of a killed experiment.

    It goes on with the experiment where the server has that already. What is in the middle of being written counts for
    nothing until it is complete: the caller removes it.

    Raises
    ------
    OSError, SegmentError
        When it cannot be read or written.
    """
    metadata = {**source.metadata, "resume_strategy": "get_or_create", "user_provided_experiment_key": True}
    if selection.error:
        metadata |= {"customer_error_reported": True, "customer_error_message": selection.error}
    files: set[str] = set()
    with zipfile.ZipFile(target, "w", allowZip64=True) as archive:
        archive.writestr(EXPERIMENT_FILE, json.dumps(metadata))
        with archive.open(MESSAGES_FILE, "w", force_zip64=True) as lines:
            for message in source.messages():
                if selection.takes(message):
                    lines.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
                    files |= _files_of(message["payload"])
        for name in source.files():
            if name in files:
                with source.opened(name) as stream, archive.open(name, "w", force_zip64=True) as copy:
                    shutil.copyfileobj(stream, copy, 1 << 20)


def upload(archives: Sequence[tuple[Path, Mapping[str, Any]]], server: CometServer, call: UploadCall) -> None:
    """Upload archives in their order, with one `comet upload` for each workspace and project.

    Parameters
    ----------
    archives
        Each with its `experiment.json`.

    Raises
    ------
    ServerError
        When there is no `comet`, or the deadline passed. How much was sent is not known then.
    """
    places: dict[tuple[str | None, str | None], list[Path]] = defaultdict(list)
    for file, metadata in archives:
        places[metadata.get("workspace"), metadata.get("project_name")].append(file)
    for (workspace, project), files in places.items():
        # Named, because the user's settings (~/.comet.config) would win over what the archive says.
        options = ["--workspace", workspace] if workspace else []
        options += ["--project-name", project] if project else []
        _run([find_comet(), "upload", *options, *(str(file.resolve()) for file in files)], server, call)


@dataclass(frozen=True)
class UploadCall:
    """The settings of a call of `comet upload`."""

    results: Path
    """The folder whose lock is held."""
    scratch: Path
    """Where it unpacks archives."""
    deadline: float
    """Seconds after which the process is ended."""
    log: IO[str] | None = None
    say_error: Callable[[str], None] = lambda _line: None
    """Takes the lines that it prints about an error."""


def _run(command: Sequence[str], server: CometServer, call: UploadCall) -> None:
    environment = {name: value for name, value in os.environ.items() if not _NOT_KEPT.fullmatch(name)}
    environment |= {
        "COMET_API_KEY": server.key,
        "COMET_URL_OVERRIDE": server.client_url,
        "TMPDIR": str(call.scratch),
    }
    output = call.scratch / "output.txt"
    with output.open("w+", errors="replace") as stream:
        try:
            with sending(command, environment, call.results, call.scratch, stream) as process:
                wait_for(process, "comet upload", server.base_url, call.deadline, lambda: None)
        finally:
            stream.seek(0)
            text = stream.read()
            if call.log:
                call.log.write(text)
                call.log.flush()
            for line in _errors(text):
                call.say_error(line)


def find_comet() -> str:
    """Return the path of the `comet` program: next to the Python that runs this, else in PATH.

    Raises
    ------
    ServerError
        When there is none.
    """
    beside = Path(sys.executable).parent / "comet"
    found = str(beside) if beside.is_file() else shutil.which("comet")
    if found is None:
        raise ServerError("found no program comet, expected that of comet_ml; run: pip install 'runferry[comet]'")
    return found


def _errors(text: str) -> Iterable[str]:
    return re.findall(r"(?m)^COMET ERROR: +((?!At least one experiment failed).*)$", text)


def _files_of(payload: Mapping[str, Any]) -> set[str]:
    names = {payload.get("file_path"), payload.get("thumbnail_path")}
    items: Any = payload.get("items")
    names |= {item.get("file_path") for item in items or ()}
    return {str(name) for name in names if name}
