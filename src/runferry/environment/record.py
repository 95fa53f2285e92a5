"""Read and write the record of an environment that was built."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from runferry.errors import PackingError
from runferry.system.files import read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.environment.specification import Kind


FORMAT = 3
"""The version of the archive's layout and of the record; part of every key, so that a change of either packs anew."""


@dataclass(frozen=True)
class EnvironmentRecord:
    """The record of a built environment; a JSON file beside the archive that it names."""

    name: str
    """The record file's stem, such as "default"."""
    key: str
    """20 hexadecimal digits: a hash of what the archive holds (see `runferry.environment.building.build`)."""
    archive: str
    """File name of the archive, beside the record."""
    sha256: str
    """Of the archive's index, which has the hash of every piece."""
    archive_bytes: int
    unpacked_bytes: int
    """What the unpacked tree takes on a disk with blocks of 4 KiB."""
    files: int
    """Files, links and folders in the archive."""
    python: str
    """The base interpreter; it must exist where the environment is unpacked."""
    python_version: str
    """Like "3.11.7"."""
    lock: str
    """File name of the list of installed packages and where each came from, beside the record."""
    packages: int
    """Lines in the lock."""
    wandb: str | None
    """The version of wandb in it; None without one."""
    modules: tuple[str, ...]
    no_index: bool
    specification: str
    """`Specification.digest` of what was asked for."""
    built: str
    """ISO 8601 with offset, UTC."""
    kind: Kind = "requirements"
    source: str = ""
    """The absolute path of what it was made of."""
    own_package: Mapping[str, Any] | None = None
    """With kind "pyproject": the user's own package (see `runferry.environment.project.OwnPackage`)."""
    origins: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many packages came from where; the lock says it for each."""
    format: int = FORMAT

    def write(self, path: Path) -> None:
        """Write the record to `path`, whole or not at all.

        Raises
        ------
        OSError
            When the disk is full or the folder cannot be written.
        """
        write_json(path, dataclasses.asdict(self))


def read_record(path: Path) -> EnvironmentRecord:
    """Read the record that `EnvironmentRecord.write` wrote.

    Raises
    ------
    PackingError
        When there is none, or when it is not a record of this version.
    """
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        message = (
            f"{path}: found no such environment record, expected the output of the rule `environment`: run it first"
        )
        raise PackingError(message) from error
    except ValueError as error:
        message = f"{error}; build the environment again"
        raise PackingError(message) from error
    if not isinstance(content, dict) or cast("dict[str, Any]", content).get("format") != FORMAT:
        message = (
            f"{path}: found a file of another runferry version, or one edited by hand; expected an environment record "
            f"of format {FORMAT}; build the environment again"
        )
        raise PackingError(message)
    values = cast("dict[str, Any]", content)
    expected = {field.name for field in dataclasses.fields(EnvironmentRecord)}
    if expected != set(values):
        different = ", ".join(sorted(expected ^ set(values)))
        message = (
            f"{path}: found missing or unknown keys ({different}), expected those of an environment record; "
            "build the environment again"
        )
        raise PackingError(message)
    values["modules"] = tuple(values["modules"])
    return EnvironmentRecord(**values)
