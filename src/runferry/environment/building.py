"""Build an environment: virtualenv, pip, a lock, an archive and the record that names them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from runferry.environment.archive import is_whole
from runferry.environment.installation import Installation
from runferry.environment.interpreter import Interpreter, describe, find_interpreter, variables_for_build
from runferry.environment.packing import Packed, pack
from runferry.environment.pins import count_origins, lock_text, normalised, packages_in, requirement_of
from runferry.environment.project import OwnPackage, copy_project
from runferry.environment.record import FORMAT, EnvironmentRecord, read_record
from runferry.environment.relocate import copy_environment, make_relocatable
from runferry.environment.specification import Specification, check_source, project_folder
from runferry.errors import PackingError
from runferry.system.files import write_atomically
from runferry.system.locks import turn

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from importlib.metadata import Distribution, PackagePath

_PACKED = "archive: "
"""Begins the line of the lock that says what was packed."""

# All files get one modification time (2020-01-01), before they are compiled: a `.pyc` file holds its source's, so
# that two builds of the same packages would differ in every file otherwise.
_MODIFIED = 1577836800
# What pip and the build put into a package and what changes from one build to the next.
_CHANGING = re.compile(r"^\.\./|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$|\.pyc$")


def build(specification: Specification, record_file: Path, *, log: IO[str] | None = None) -> EnvironmentRecord:
    """Build, lock and pack an environment, and write its record.

    Beside the record lie `<key>.tar` (from 1 GB on `<key>.tar.zst`) and `<key>.lock.txt`, whose first line holds the
    archive's hash and sizes:
    with the record, three files. The key is a hash of the packages and their own lists of file hashes, the Python
    (path, version, platform), the modules and the archive's format, so that the same environment has the same key, and
    an archive that is there and whole is used again. The build itself happens in a temporary folder ($TMPDIR) that is
    removed in any case.

    Parameters
    ----------
    specification
        What is asked for; not a container (see `runferry.environment.container.record_container`).
    record_file
        Such as `results/environments/default.json`. Two builds of one record wait for each other.
    log
        Where the output of virtualenv and pip goes while they run; None: stderr.

    Raises
    ------
    ConfigError
        When what the environment is made of, the Python or a module is not there.
    PackingError
        When a package cannot be installed or the result cannot be packed.
    OSError
        When the disk is full.
    """
    check_source(specification.kind, specification.source, "environment")
    output: IO[str] = log or sys.stderr
    record_file.parent.mkdir(parents=True, exist_ok=True)
    begin = datetime.now(UTC)
    with _ended_by_signals(), turn(Path(f"{record_file}.lock"), lambda: _say_waiting(record_file, output)) as waited:
        if waited and (record := _built_meanwhile(specification, record_file, begin)):
            output.write(f"another process has just built {record_file}\n")
            return record
        variables = variables_for_build(specification.modules)
        with tempfile.TemporaryDirectory(prefix="runferry-environment-") as folder:
            tree = Path(folder).resolve() / "environment"
            record = _build(Installation(tree, variables, output), specification, record_file)
        record.write(record_file)
        return record


def _build(installation: Installation, specification: Specification, record_file: Path) -> EnvironmentRecord:
    tree = installation.tree
    # Before anything: what changes while this goes on is to be seen as a change afterwards.
    digest = specification.digest()
    installed = _install(installation, specification)
    interpreter = installed.interpreter
    packages = packages_in(installation.folders)
    key = _key(packages, interpreter, specification.modules)
    for file in make_relocatable(tree, installation.folders, installed.built_in):
        installation.log.write(f"note: {file} names the folder that the environment was built in\n")
    for package in packages:
        if (line := requirement_of(package)).startswith("-e "):
            installation.log.write(f"note: {package.name} is editable: jobs read it from {line[3:]}\n")

    lock_file = record_file.with_name(f"{key}.lock.txt")
    # Two records may hold the same: whoever comes second takes what the first has packed, which its record fits.
    with turn(Path(f"{lock_file}.lock")):
        packed = _packed_before(lock_file)
        if packed is None:
            _set_modified(tree)
            installation.compile()
            installation.log.write(f"packing {key}\n")
            packed = pack(tree, record_file.parent, key)
        header = [f"{_PACKED}{json.dumps(asdict(packed))}", f"Python {interpreter.version}, {interpreter.path}"]
        write_atomically(lock_file, lock_text(packages, installed.origins, header))
    return EnvironmentRecord(
        name=record_file.stem,
        key=key,
        **asdict(packed),
        python=interpreter.path,
        python_version=interpreter.version,
        lock=lock_file.name,
        packages=len(packages),
        wandb=next((package.version for package in packages if package.name == "wandb"), None),
        modules=specification.modules,
        no_index=specification.no_index,
        specification=digest,
        built=datetime.now(UTC).isoformat(timespec="seconds"),
        kind=specification.kind,
        source=str(specification.source.resolve()),
        own_package=asdict(installed.own_package) if installed.own_package else None,
        origins=count_origins(packages, installed.origins),
    )


@dataclass(frozen=True)
class _Installed:
    interpreter: Interpreter
    origins: Mapping[str, str]
    own_package: OwnPackage | None = None
    built_in: Path | None = None


def _install(installation: Installation, specification: Specification) -> _Installed:
    """Fill the tree with what was asked for."""
    if specification.kind == "venv":
        built_in = copy_environment(specification.source, installation.tree)
        interpreter = describe(str(installation.tree / "bin" / "python"), installation.variables)
        names = (normalised(package.name) for package in packages_in(installation.folders))
        return _Installed(interpreter, dict.fromkeys(names, f"venv: {specification.source}"), built_in=built_in)
    interpreter = find_interpreter(specification.python, installation.variables)
    installation.create(interpreter)
    python = ".".join(interpreter.version.split(".")[:2])
    if specification.kind != "pyproject":
        return _Installed(interpreter, installation.install(specification, python))
    copy = copy_project(
        project_folder(specification.source), installation.tree.parent / "project", committed=specification.committed
    )
    wheel = installation.wheel_of(copy.folder, specification)
    name, version = wheel.name.split("-")[:2]
    extras = f"[{','.join(specification.extras)}]" if specification.extras else ""
    origins = installation.install_arguments([f"{name}{extras} @ {wheel.as_uri()}"], specification, python)
    commit = f" of commit {copy.commit}" if copy.commit else ""
    origins[normalised(name)] = f"own package: {copy.state}{commit}, {project_folder(specification.source).resolve()}"
    return _Installed(interpreter, origins, OwnPackage(name, version, copy.state, copy.commit))


def _key(packages: list[Distribution], interpreter: Interpreter, modules: tuple[str, ...]) -> str:
    # A package from a local folder, or a wheel that was built again, can change and keep its version, and so its line
    # in the lock. The hashes that an installed package carries in its RECORD tell them apart.
    files = sorted(
        f"{file} {_file_hash(file)}"
        for package in packages
        for file in package.files or []
        if not _CHANGING.search(str(file))
    )
    lock = [requirement_of(package) for package in packages]
    parts = [lock, files, list(modules), interpreter.path, interpreter.version, interpreter.platform, FORMAT]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def _packed_before(lock_file: Path) -> Packed | None:
    try:
        first = lock_file.read_text().partition("\n")[0]
        packed = Packed(**json.loads(first.removeprefix(f"# {_PACKED}")))
    except (OSError, ValueError, TypeError):
        return None
    return packed if is_whole(lock_file.with_name(packed.archive), packed.sha256) else None


def _file_hash(file: PackagePath) -> str:
    # A RECORD may leave a hash out, and virtualenv's name folders and what was never installed.
    path = Path(str(file.locate()))
    return file.hash.value if file.hash else _sha256(path) if path.is_file() else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _set_modified(tree: Path) -> None:
    for path in tree.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (_MODIFIED, _MODIFIED))


def _built_meanwhile(specification: Specification, record_file: Path, begin: datetime) -> EnvironmentRecord | None:
    """Return the record that another process wrote while this one waited, if it is of the same specification."""
    try:
        record = read_record(record_file)
    except PackingError:
        return None
    # The record's time has whole seconds.
    is_newer = datetime.fromisoformat(record.built) >= begin.replace(microsecond=0)
    return record if is_newer and record.specification == specification.digest() else None


def _say_waiting(record_file: Path, log: IO[str]) -> None:
    log.write(f"waiting for another process that builds {record_file}\n")
    log.flush()


@contextlib.contextmanager
def _ended_by_signals() -> Generator[None]:
    """Let SIGTERM and SIGHUP end the build as Ctrl-C does, so that the temporary folder goes."""

    def end(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    changed: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        changed = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
