"""List and read the source files of a command: those that git has, without git those below its workdir."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MOST_LOOKED_AT = 10_000
"""Files and folders outside git: a job that no start of Snakemake looked for may lie on a parallel filesystem."""
_SUFFIXES = frozenset(
    [
        *(
            ".py",
            ".pyx",
            ".pyi",
            ".ipynb",
            ".c",
            ".cc",
            ".cpp",
            ".cu",
            ".cuh",
            ".h",
            ".hpp",
            ".sh",
            ".jl",
            ".r",
            ".lua",
        ),
        *(".rs", ".go", ".f90", ".m", ".pl", ".yaml", ".yml"),
    ]
)
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "results", "wandb", "logs", "venv", "build", "dist"})
_OWN_CONFIG = "config/config.yaml"
"""Not code: what it says of a run is in the run's own record."""


@dataclass(frozen=True)
class CodeFile:
    """One source file: its content, and the stamp by which a change is seen without reading it."""

    sha256: str
    size: int
    mtime_ns: int


def is_source(name: str) -> bool:
    """Return whether a path is that of source code, by its ending.

    >>> is_source("models/unet.py"), is_source("data/train.csv")
    (True, False)
    """
    return os.path.splitext(name)[1].lower() in _SUFFIXES and name != _OWN_CONFIG  # noqa: PTH122


def list_code(workdir: Path) -> tuple[Path, str | None, list[str] | None]:
    """Return the root of the code, its commit, and the files below it, as git has them; None of too many."""
    top = git(workdir, "rev-parse", "--show-toplevel").strip()
    if not top:
        root = workdir.resolve()
        return root, None, _walk(root)
    root = Path(top).resolve()
    commit = git(root, "rev-parse", "--verify", "--quiet", "HEAD").strip() or None
    names = {name for name in git(root, "ls-files", "-z").split("\0") if name}
    names |= {name for name in untracked(root) if not _is_left_out(name)}
    return root, commit, sorted(names)


def untracked(root: Path) -> list[str]:
    """List the files that git neither tracks nor ignores."""
    return [name for name in git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0") if name]


def _is_left_out(name: str) -> bool:
    return any(part.startswith(".") or part in _LEFT_OUT for part in name.split("/")[:-1])


def _walk(root: Path) -> list[str] | None:
    found: list[str] = []
    looked_at = 0
    for folder, folders, files in os.walk(root):
        looked_at += len(folders) + len(files)
        if looked_at > _MOST_LOOKED_AT:
            # Such as a home folder: not what anybody calls their code.
            return None
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _LEFT_OUT
            and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))  # noqa: PTH110, PTH118
        )
        found += [os.path.relpath(os.path.join(folder, name), root) for name in files]  # noqa: PTH118
    return sorted(found)


def read_code_file(file: Path) -> CodeFile | None:
    """Read and describe a file; None where there is none that can be read."""
    try:
        if not file.is_file():
            # A pipe would never end.
            return None
        with file.open("rb") as stream:
            return describe(stream, stream.read())
    except OSError:
        # A link that leads nowhere, or one that was deleted and not committed.
        return None


def describe(stream: BinaryIO, content: bytes) -> CodeFile:
    """Describe an open file by its content and stamp."""
    status = os.fstat(stream.fileno())
    return CodeFile(hashlib.sha256(content).hexdigest(), status.st_size, status.st_mtime_ns)


def git(folder: Path, *arguments: str) -> str:
    """Return what git prints; nothing where it fails, or there is none."""
    try:
        answer = subprocess.run(
            # Without its optional lock: many jobs may ask at a time, and the user's own git must not wait for them.
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            check=False,
        )
    except OSError:
        # There is no git, or no such folder.
        return ""
    return answer.stdout.decode(errors="replace") if answer.returncode == 0 else ""
