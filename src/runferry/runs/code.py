"""Describe the code that a run is trained from: its files, their commit, and what differs from it."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runferry.runs.attempt_record import AttemptRecord, CodeEntry
from runferry.runs.code_files import CodeFile, git, is_source, list_code, read_code_file, untracked
from runferry.system.files import json_text, read_json, write_new

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.runs.folder import RunFolder

FOLDER = ".code"
"""In the results folder: one JSON file for each state of the code, one archive for each that is pinned."""

MOST_FILES = 2_000
"""Source files of which a digest is made: a job looks at each of them when it starts."""

_LARGEST_DIFF = 1_000_000


@dataclass(frozen=True)
class CodeState:
    """The source files below a folder at one time.

    Attributes
    ----------
    root
        The top of the git repository, without one the workdir; absolute.
    commit
        None outside git.
    diff
        What `git diff HEAD` says of the tracked files; None outside git, and where it is over a megabyte.
    new
        Source files that git does not track.
    digest
        Of the paths and contents of `files`.
    files
        By their paths, relative to `root`.
    taken
        ISO 8601, UTC.
    """

    root: str
    commit: str | None
    diff: str | None
    new: list[str]
    digest: str
    files: Mapping[str, CodeFile]
    taken: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def changed(self) -> bool:
        """Return whether the files differ from the commit."""
        return self.commit is not None and (self.diff != "" or bool(self.new))

    @property
    def key(self) -> str:
        """Return the name of its file: the same for the same content at the same commit."""
        return _hash([self.root, self.commit, self.diff, self.new, self.digest])[:16]

    def is_current(self) -> bool:
        """Return whether each file still has the size and time that it had."""
        try:
            for name, known in self.files.items():
                found = os.stat(os.path.join(self.root, name))  # noqa: PTH116, PTH118 - hundreds of files when a job starts
                if (found.st_size, found.st_mtime_ns) != (known.size, known.mtime_ns):
                    return False
        except OSError:
            return False
        return True

    def files_changed_until(self, later: CodeState) -> list[str]:
        """List the source files that `later` has otherwise, or no more.

        A file that is only there later is not named: what uses it has changed, too.
        """
        return [
            name
            for name, known in self.files.items()
            if is_source(name) and (name not in later.files or later.files[name].sha256 != known.sha256)
        ]

    def as_record(self, *, pinned: bool) -> CodeEntry:
        """Return what an attempt's record says of it; `state` is relative to the run's folder."""
        return CodeEntry(self.digest, self.commit, self.changed, pinned, f"../../{FOLDER}/{self.key}.json")


def take_state(workdir: Path) -> CodeState | None:
    """Read the source files of a command that runs in `workdir`.

    Returns
    -------
    CodeState or None
        None where there are more than can be looked at whenever a job starts.
    """
    root, commit, listed = list_code(workdir)
    names = None if listed is None else [name for name in listed if is_source(name)]
    if names is None or len(names) > MOST_FILES:
        return None
    return state_of_files(root, commit, {name: found for name in names if (found := read_code_file(root / name))})


def write_state(results: Path, state: CodeState) -> Path:
    """Write a state into the results folder, unless it is there already; return its file."""
    file = results / FOLDER / f"{state.key}.json"
    write_new(file, json_text(asdict(state)))
    return file


def read_state(file: Path) -> CodeState:
    """Read a state that `write_state` wrote.

    Raises
    ------
    OSError, ValueError, TypeError, KeyError
        When it cannot be read.
    """
    found = read_json(file)
    files = {name: CodeFile(**each) for name, each in found.pop("files").items()}
    return CodeState(**found, files=files)


def code_of_attempts(folder: RunFolder) -> tuple[CodeEntry, ...]:
    """Return the code of a run's attempts for its receipt: each state once, with the numbers of its attempts."""
    found: dict[CodeEntry, list[int]] = {}
    for number in folder.attempt_numbers():
        with suppress(OSError, ValueError):
            code = AttemptRecord.read(folder.attempts_folder / f"{number}.json").code
            if code is not None:
                found.setdefault(code, []).append(number)
    return tuple(replace(entry, attempts=tuple(numbers)) for entry, numbers in found.items())


def state_of_files(root: Path, commit: str | None, files: Mapping[str, CodeFile]) -> CodeState:
    """Make the state of files that were read, with what git says of them."""
    diff = git(root, "diff", "--no-color", "--no-ext-diff", "HEAD") if commit else None
    new = untracked(root) if commit else []
    return CodeState(
        str(root),
        commit,
        diff if diff is None or len(diff) <= _LARGEST_DIFF else None,
        sorted(name for name in new if name in files),
        _hash({name: found.sha256 for name, found in files.items()}),
        files,
    )


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode(errors="surrogatepass")).hexdigest()
