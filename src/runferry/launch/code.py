"""Determine the code of an attempt, and run it from the snapshot that was taken of it."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tarfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import LaunchError
from runferry.launch.collect import collect_files
from runferry.launch.macros import SHARED_FOLDER
from runferry.runs.code import read_state, take_state, write_state
from runferry.runs.code_snapshot import archive_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runferry.runs.attempt_record import CodeEntry
    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord

VARIABLE = "RUNFERRY_CODE"
"""In a job: JSON, the workdir of an experiment -> the file of the code's state when Snakemake started."""


@dataclass(frozen=True)
class UsedCode:
    """The code that an attempt runs.

    Attributes
    ----------
    run
        The run's record; its workdir is in the snapshot, where there is one.
    record
        What the attempt's record says of it; None where it is not known.
    snapshot
        The folder with the snapshot on this node; None where the command runs in the user's own folder.
    """

    run: RunRecord
    record: CodeEntry | None = None
    snapshot: Path | None = None
    known: Mapping[str, int] = field(default_factory=dict[str, int])
    """The files of the snapshot before the command -> when they were written, in nanoseconds."""

    def bring_back(self, target: Path, note: Callable[[str], object]) -> list[str]:
        """Copy what the command wrote into the snapshot to `target`; return a line for each file that was not copied.

        In the user's own folder it would have stayed where it is.
        """
        if self.snapshot is None:
            return []
        found = _files_in(self.snapshot)
        new = [path for path, written in found.items() if self.known.get(path) != written and "__pycache__" not in path]
        problems = collect_files(map(glob.escape, new), self.snapshot, target, note) if new else []
        if not problems:
            shutil.rmtree(self.snapshot, ignore_errors=True)
        return problems


def use_code(
    run: RunRecord, folder: RunFolder, scratch: Path, note: Callable[[str], object], *, unpack: bool
) -> UsedCode:
    """Determine the code that a run is trained from, and unpack its snapshot where it is pinned.

    Parameters
    ----------
    run
        The content of `run.json`.
    folder
        Of the run; the states of the code are in the results folder above it.
    scratch
        Node-local.
    note
        Takes a line for the run's log.
    unpack
        Whether the command runs here; else only the record is wanted.

    Raises
    ------
    LaunchError
        When the snapshot cannot be unpacked.
    """
    pinned = run.code == "pinned"
    file = _noted(run.workdir)
    if pinned and file is None:
        note("code: pinned, but no snapshot was taken (only a start of the workflow takes one): the files are as now")
    elif pinned and file is not None:
        try:
            return _pinned(run, file, scratch, unpack=unpack)
        except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
            message = f"{archive_of(file)}: found no snapshot of the code that can be unpacked ({error}), expected one"
            raise LaunchError(f"{message}; start the workflow again, which takes another") from error
    state = None
    # That it cannot be said keeps nobody from training.
    with suppress(OSError, ValueError, KeyError, TypeError):
        state = read_state(file) if file else None
        if state is None or not state.is_current():
            before, state = state, take_state(Path(run.workdir))
            if state is not None:
                write_state(folder.path.resolve().parent.parent, state)
                if changed := before.files_changed_until(state) if before else []:
                    note(f"code: {', '.join(changed[:5])} changed since this job was submitted")
    return UsedCode(run, state.as_record(pinned=False) if state else None)


def _noted(workdir: str) -> Path | None:
    try:
        found = json.loads(os.environ.get(VARIABLE, "{}")).get(workdir)
    except (ValueError, AttributeError):
        return None
    return Path(found) if found else None


def _pinned(run: RunRecord, file: Path, scratch: Path, *, unpack: bool) -> UsedCode:
    state = read_state(file)
    record = state.as_record(pinned=True)
    if not unpack:
        return UsedCode(run, record)
    root, place = Path(state.root), scratch / SHARED_FOLDER / f"code-{run.id}-{os.getpid()}"
    with tarfile.open(archive_of(file)) as archive:
        archive.extractall(place, filter="data")
    _link_the_rest(root, place)
    inside = Path(run.workdir).resolve().relative_to(root)
    changed = replace(run, workdir=str(place / inside), code_root=str(root))
    return UsedCode(changed, record, place, _files_in(place))


def _link_the_rest(root: Path, place: Path) -> None:
    """Let each folder of the snapshot lead to what else lies in it: data, what is ignored, the repository itself."""
    for folder, folders, files in os.walk(place):
        there = root / Path(folder).relative_to(place)
        known = {*folders, *files}
        with suppress(OSError):
            for entry in os.scandir(there):
                if entry.name not in known and entry.name != "__pycache__":
                    Path(folder, entry.name).symlink_to(entry.path)


def _files_in(place: Path) -> dict[str, int]:
    # Not through links: what these lead to is in the user's own folder.
    paths = [Path(folder, name) for folder, _, files in os.walk(place) for name in files]
    return {str(path.relative_to(place)): path.lstat().st_mtime_ns for path in paths if not path.is_symlink()}
