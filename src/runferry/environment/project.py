"""Copy and fingerprint the user's own package, as it is committed or as the working tree has it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from runferry.errors import ConfigError, PackingError

if TYPE_CHECKING:
    from pathlib import Path

# What a copy of a folder that is not in git leaves out: what builds and runs leave behind, not what is written.
_LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", "venv", "build", "dist", "*.egg-info", "__pycache__", ".snakemake", "results", "wandb"),
    *(".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules"),
)


@dataclass(frozen=True)
class OwnPackage:
    """The state of the user's package in an environment."""

    name: str
    version: str
    state: Literal["committed", "working tree"]
    """"committed" also for a working tree without a change."""
    commit: str | None
    """The commit that was checked out; None outside git."""


@dataclass(frozen=True)
class ProjectCopy:
    """A copy of a project, to be built without leaving anything in the user's folder."""

    folder: Path
    state: Literal["committed", "working tree"]
    commit: str | None


def copy_project(project: Path, place: Path, *, committed: bool) -> ProjectCopy:
    """Copy `project` into the folder `place`, which does not exist yet.

    In git it is a clone, so that a version taken from tags is right, with the working tree's files, those of
    .gitignore left out, put over it unless `committed`.

    Raises
    ------
    ConfigError
        When `committed` is asked of a folder that is not in git, or has no commit.
    PackingError
        When git fails.
    """
    top = _top(project)
    commit = _git(project, "rev-parse", "--verify", "--quiet", "HEAD").strip() if top else ""
    if committed and not commit:
        message = f"environment.state: found committed, expected {project} to be in a git repository with a commit; "
        raise ConfigError(f"{message}commit it first, or leave environment.state out")
    if top is None or not commit:
        shutil.copytree(project, place, symlinks=True, ignore=_LEFT_OUT)
        return ProjectCopy(place, "working tree", None)
    answer = subprocess.run(
        ["git", "clone", "--quiet", "--shared", str(top), str(place)], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise PackingError(f"{project}: expected git clone to copy it, found: {' '.join(answer.stderr.split())[-300:]}")
    inside = project.resolve().relative_to(top)
    if committed:
        return ProjectCopy(place / inside, "committed", commit)
    changed = _changed(project)
    if changed:
        _copy_files(project, place / inside)
    return ProjectCopy(place / inside, "working tree" if changed else "committed", commit)


def top_folders(project: Path) -> list[str]:
    """List the folders of a project that have files in its copy, by name."""
    if _top(project) is None:
        files = [file.relative_to(project).parts for file in _copied_files(project)]
    else:
        listed = _git(project, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ".")
        files = [name.split("/") for name in listed.split("\0") if name]
    return sorted({parts[0] for parts in files if len(parts) > 1})


def fingerprint(project: Path, *, committed: bool) -> list[str]:
    """Return texts that stay the same as long as the content of the project does.

    Raises
    ------
    OSError
        When a file cannot be read.
    """
    if _top(project) is None:
        files = _copied_files(project)
        return [f"{file.relative_to(project)} {_sha256(file)}" for file in files]
    # The tree, not the commit: a commit that touches another folder of the repository changes nothing here.
    tree = _git(project, "rev-parse", "--verify", "--quiet", "HEAD:./").strip()
    if committed:
        return [tree]
    changed = [project / name for name in _changed(project)]
    return [tree, *(f"{file.relative_to(project)} {_sha256(file)}" for file in changed)]


def _top(project: Path) -> Path | None:
    if shutil.which("git") is None:
        return None
    top = _git(project, "rev-parse", "--show-toplevel").strip()
    return type(project)(top).resolve() if top else None


def _git(folder: Path, *arguments: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, errors="surrogateescape", check=False
    )
    return answer.stdout if answer.returncode == 0 else ""


def _changed(project: Path) -> list[str]:
    """List the files below `project` that are not as HEAD has them, relative to it; also deleted and new ones."""
    listed = _git(project, "diff", "--name-only", "--relative", "-z", "HEAD", "--", ".")
    listed += _git(project, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    return sorted({name for name in listed.split("\0") if name})


def _copy_files(project: Path, target: Path) -> None:
    """Make `target`, a checkout of HEAD, what the working tree is."""
    for name in _changed(project):
        source, copy = project / name, target / name
        if copy.is_symlink() or copy.is_file():
            copy.unlink()
        if source.is_symlink() or source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def _copied_files(project: Path) -> list[Path]:
    found: list[Path] = []
    for folder, names, files in os.walk(project):
        left_out = _LEFT_OUT(folder, [*names, *files])
        names[:] = sorted(name for name in names if name not in left_out)
        found += [type(project)(folder) / file for file in sorted(files) if file not in left_out]
    return found


def _sha256(file: Path) -> str:
    if file.is_symlink() or not file.is_file():
        return str(file.readlink()) if file.is_symlink() else "deleted"
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
