"""Check what an environment is made of before it is built, and hash it to see whether it has changed."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runferry.environment.requirements import check_requirements, read_requirements, with_included
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_EXPECTED = {
    "requirements": "a pip requirements file",
    "lock": "a requirements file with every version pinned, such as the <key>.lock.txt of an environment",
    "pyproject": "a pyproject.toml, or the folder that it is in",
    "venv": "the folder of a virtual environment",
    "container": "an Apptainer image (.sif)",
}


# As setuptools has it (FlatLayoutPackageFinder, 65.5.0).
_NO_PACKAGE = re.compile(
    r"ci|bin|docs?|documentation|manpages|news|changelog|tests?|unit_tests?|examples?|scripts|tools|utils?|python|build|dist|"
    r"venv|env|requirements|tasks|fabfile|site_scons|benchmarks?|exercises?|[._].*"
)


_PINNED = re.compile(r"^[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?\s*(?:===?\s*[^\s,;*]+|@\s*\S+)\s*(?:;.*)?$")


def check_source(kind: Kind, source: Path, where: str) -> None:
    """Refuse a source that is missing, or not of the kind that the config says.

    Parameters
    ----------
    where
        The key of the section, for messages, such as "environment" or "environments.jax".

    Raises
    ------
    ConfigError
        When it is missing, or is something else.
    """
    key = f"{where}.{kind}"
    if kind == "container" and re.match(r"^[a-z]+://", str(source).replace(":/", "://", 1)):
        message = f"{key}: found {source}, expected an image that is a file: make one with `apptainer pull`"
        raise ConfigError(message)
    if not source.exists():
        what = "folder" if kind == "venv" else "file"
        raise ConfigError(f"{key}: found no {what} {source}, expected {_EXPECTED[kind]}")
    if kind == "venv":
        if not (source / "pyvenv.cfg").is_file():
            message = f"{key}: found no pyvenv.cfg in {source}, expected {_EXPECTED[kind]} (not conda's)"
            raise ConfigError(message)
        return
    if kind == "pyproject":
        _check_project(project_folder(source) / "pyproject.toml", key)
    elif kind != "container" and not source.is_file():
        raise ConfigError(f"{key}: found a folder, {source}, expected {_EXPECTED[kind]}")
    if kind in {"requirements", "lock"}:
        check_requirements(source, key)
    if kind == "lock":
        _check_lock(source, key)


def project_folder(source: Path) -> Path:
    """Return the folder of a project, given the folder or its pyproject.toml."""
    return source if source.is_dir() else source.parent


def source_files(kind: Kind, source: Path) -> list[Path]:
    """List the files whose modification times show a change: the rule's inputs."""
    if kind == "pyproject":
        return [project_folder(source) / "pyproject.toml"]
    if kind == "venv":
        return [source / "pyvenv.cfg"]
    return [source]


def content_of(kind: Kind, source: Path, *, committed: bool = False) -> list[str]:
    """Return texts that stay the same as long as the content of `source` does.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    if kind == "pyproject":
        from runferry.environment.project import fingerprint

        return fingerprint(project_folder(source), committed=committed)
    if kind == "venv":
        notes = sorted(source.glob("lib*/python3*/site-packages/*.dist-info/RECORD"))
        stamps = [f"{note.parent.name} {note.stat().st_size} {note.stat().st_mtime_ns}" for note in notes]
        return [(source / "pyvenv.cfg").read_text(), *stamps]
    if kind == "container":
        status = source.stat()
        return [f"{status.st_size} {status.st_mtime_ns}"]
    return [read_requirements(file) for file in with_included(source)]


def _check_project(file: Path, key: str) -> None:
    try:
        content = tomllib.loads(file.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{key}: found no file {file}, expected {_EXPECTED['pyproject']}") from error
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{key}: {file}: found invalid TOML ({error}), expected a pyproject.toml that can be parsed"
        ) from error
    if not {"project", "build-system"} & set(content):
        message = f"{key}: {file}: found neither [project] nor [build-system], expected the pyproject.toml of a package"
        raise ConfigError(message)
    _check_layout(file.parent, content, key)


def _check_layout(project: Path, content: Mapping[str, Any], key: str) -> None:
    """Refuse a project of which setuptools does not know which of several folders is the package."""
    backend = content.get("build-system", {}).get("build-backend", "setuptools.build_meta")
    told = content.get("tool", {}).get("setuptools", {})
    files = [project / name for name in ("setup.py", "setup.cfg", "src")]
    if not str(backend).startswith("setuptools") or told or any(file.exists() for file in files):
        return
    from runferry.environment.project import top_folders

    found = [name for name in top_folders(project) if name.isidentifier() and not _NO_PACKAGE.fullmatch(name)]
    if len(found) > 1:
        message = f"{key}: {project}: found {', '.join(found)}, each of which setuptools takes for a package"
        name = str(content.get("project", {}).get("name", "")).replace("-", "_").lower()
        own = name if name in found else found[0]
        raise ConfigError(
            f'{message}, expected one; say which is: [tool.setuptools] packages = ["{own}"] in pyproject.toml'
        )


def _check_lock(file: Path, key: str) -> None:
    text = re.sub(r"\\\r?\n", " ", read_requirements(file))
    for line in text.splitlines():
        requirement = re.sub(r"(^|\s)#.*$|\s--hash=\S+", "", line).strip()
        if requirement and not requirement.startswith("-") and not _PINNED.match(requirement):
            message = f"{key}: {file}: found {requirement!r}, expected every version pinned (name==version); "
            raise ConfigError(f"{message}use {key.rpartition('.')[0]}.requirements for a file that is not frozen")


Kind = Literal["requirements", "lock", "pyproject", "venv", "container"]

KINDS: tuple[Kind, ...] = ("requirements", "lock", "pyproject", "venv", "container")
"""What an environment can be made of: the keys of the config of which a section has one."""


@dataclass(frozen=True)
class Specification:
    """The request for an environment: a section `environment` of the config."""

    source: Path
    """A requirements file, a lock, a pyproject.toml or its folder, a virtual environment, or an Apptainer image."""
    python: str | None = None
    """Like "3.11": the python3.11 on PATH; None: the Python that runs runferry. A virtual environment has its own."""
    modules: tuple[str, ...] = ()
    """Environment modules to load first, in this order."""
    no_index: bool = False
    """Whether pip may use the site's wheelhouse only."""
    kind: Kind = "requirements"
    extras: tuple[str, ...] = ()
    """Of the project, with kind "pyproject"."""
    committed: bool = False
    """With kind "pyproject": the package as it is committed (HEAD), not as the working tree has it."""
    index_allowed: bool = False
    """With `no_index`: whether what the wheelhouse lacks may be downloaded, that alone."""

    def digest(self) -> str:
        """Return a hash of the request and of the source's content, as far as that is cheap.

        Raises
        ------
        OSError
            When the source cannot be read.
        """
        from runferry.environment.specification import content_of

        asked = [
            *(content_of(self.kind, self.source, committed=self.committed), self.python, self.modules, self.no_index),
            *(self.kind, self.extras, self.committed, self.index_allowed),
        ]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
