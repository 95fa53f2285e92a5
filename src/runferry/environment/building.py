"""Building an environment: virtualenv, pip, a lock, an archive and the record that names them."""

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
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackagePath, distributions
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from filelock import FileLock, Timeout

from runferry.environment.installation import Installation
from runferry.environment.interpreter import Interpreter, find_interpreter, variables_for_build
from runferry.environment.packing import Packed, pack
from runferry.environment.record import FORMAT, Record, Specification, read_record
from runferry.environment.relocate import make_relocatable
from runferry.errors import ConfigError, PackingError
from runferry.files import read_json, write_atomically, write_json

if TYPE_CHECKING:
    from collections.abc import Generator

# All files get one modification time (2020-01-01), before they are compiled: a `.pyc` file holds its source's, so
# that two builds of the same packages would differ in every file otherwise.
_MODIFIED = 1577836800
# What pip and the build put into a package and what changes from one build to the next.
_CHANGING = re.compile(r"^\.\./|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$|\.pyc$")


def build(specification: Specification, record_file: Path, *, log: IO[str] | None = None) -> Record:
    """Build, lock and pack an environment, and write its record.

    Beside the record lie `<key>.tar.zst`, `<key>.lock.txt` and `<key>.packed.json` (the archive's hash and sizes). The
    key is a hash of the lock, the packages' own lists of file hashes, the Python (path, version, platform), the
    modules and the archive's format, so that the same environment has the same key, and an archive that is there
    and whole is used again. The build itself happens in a temporary folder ($TMPDIR) that is removed in any case.

    Parameters
    ----------
    specification
        What is asked for.
    record_file
        Such as `results/environments/default.json`. Two builds of one record wait for each other.
    log
        Where the output of virtualenv and pip goes while they run; None: stderr.

    Raises
    ------
    ConfigError
        When the requirements file, the Python or a module is not there.
    PackingError
        When a package cannot be installed or the result cannot be packed.
    OSError
        When the disk is full.
    """
    if not specification.requirements.is_file():
        message = (
            f"environment.requirements: no such file: {specification.requirements}; expected a pip requirements file"
        )
        raise ConfigError(message)
    output: IO[str] = log or sys.stderr
    record_file.parent.mkdir(parents=True, exist_ok=True)
    begin = datetime.now(UTC)
    with _ended_by_signals(), _turn(record_file, output) as waited:
        if waited and (record := _built_meanwhile(specification, record_file, begin)):
            output.write(f"another process has just built {record_file}\n")
            return record
        variables = variables_for_build(specification.modules)
        interpreter = find_interpreter(specification.python, variables)
        with tempfile.TemporaryDirectory(prefix="runferry-environment-") as folder:
            tree = Path(folder).resolve() / "environment"
            installation = Installation(tree, variables, output)
            record = _build(installation, specification, interpreter, record_file)
        record.write(record_file)
        return record


def _build(
    installation: Installation, specification: Specification, interpreter: Interpreter, record_file: Path
) -> Record:
    installation.create(interpreter)
    installation.install(specification)
    lock = installation.freeze()
    packages = list(distributions(path=[str(folder) for folder in installation.folders]))
    key = _key(lock, packages, interpreter, specification.modules)
    for file in make_relocatable(installation.tree, installation.folders):
        installation.log.write(f"note: {file} names the folder that the environment was built in\n")

    archive = record_file.with_name(f"{key}.tar.zst")
    packed_file = record_file.with_name(f"{key}.packed.json")
    packed = _packed_before(archive, packed_file)
    if packed is None:
        _set_modified(installation.tree)
        installation.compile()
        packed = pack(installation.tree, archive)
        write_json(packed_file, asdict(packed))
    lock_file = record_file.with_name(f"{key}.lock.txt")
    write_atomically(lock_file, "".join(f"{line}\n" for line in lock))
    return Record(
        name=record_file.stem,
        key=key,
        archive=archive.name,
        **asdict(packed),
        python=interpreter.path,
        python_version=interpreter.version,
        lock=lock_file.name,
        packages=len(lock),
        wandb=next((package.version for package in packages if package.name == "wandb"), None),
        modules=specification.modules,
        no_index=specification.no_index,
        specification=specification.digest(),
        built=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _key(lock: list[str], packages: list[Distribution], interpreter: Interpreter, modules: tuple[str, ...]) -> str:
    # A package from a local folder, or a wheel that was built again, can change and keep its version, and so its line
    # in the lock. The hashes that an installed package carries in its RECORD tell them apart.
    files = sorted(
        f"{file} {_file_hash(file)}"
        for package in packages
        for file in package.files or []
        if not _CHANGING.search(str(file))
    )
    parts = [lock, files, list(modules), interpreter.path, interpreter.version, interpreter.platform, FORMAT]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def _packed_before(archive: Path, packed_file: Path) -> Packed | None:
    try:
        packed = Packed(**read_json(packed_file))
        found = _sha256(archive)
    except (OSError, ValueError, TypeError):
        return None
    return packed if found == packed.sha256 else None


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


def _built_meanwhile(specification: Specification, record_file: Path, begin: datetime) -> Record | None:
    """Return the record that another process wrote while this one waited, if it is of the same specification."""
    try:
        record = read_record(record_file)
    except PackingError:
        return None
    # The record's time has whole seconds.
    is_newer = datetime.fromisoformat(record.built) >= begin.replace(microsecond=0)
    return record if is_newer and record.specification == specification.digest() else None


@contextlib.contextmanager
def _turn(record_file: Path, log: IO[str]) -> Generator[bool]:
    """Wait until nobody else builds the record; yields whether somebody did."""
    lock = FileLock(f"{record_file}.lock")
    try:
        lock.acquire(timeout=0)
        waited = False
    except Timeout:
        log.write(f"waiting for another process that builds {record_file}\n")
        log.flush()
        lock.acquire()
        waited = True
    try:
        yield waited
    finally:
        lock.release()


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
