"""Check what an experiment stages on its nodes and collects from them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MACRO = "${data}"
"""In the command and the parameters of an experiment that stages or collects: the folder of `$RUNFERRY_DATA`."""

SCRATCH = "${scratch}"
"""In a command, its parameters and the variables: the node-local folder of the job, as `$SLURM_TMPDIR`."""

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")


@dataclass(frozen=True)
class Item:
    """A file or folder to be put onto the node."""

    source: Path
    """Absolute."""
    to: str
    """Where it is, relative to `$RUNFERRY_DATA`."""
    unpack: bool
    """Whether it is an archive whose content is wanted."""

    @property
    def key(self) -> str:
        """Return a hash of what is staged: equal for two runs of one job that stage the same.

        Raises
        ------
        OSError
            When the source is not there.
        """
        status = self.source.stat()
        asked = [str(self.source), status.st_size, status.st_mtime_ns, self.unpack]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]

    def as_record(self) -> dict[str, Any]:
        """Return the item as it stands in `run.json`."""
        return {"from": str(self.source), "to": self.to, "unpack": self.unpack}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Item:
        """Read an item from what `as_record` returned."""
        return cls(Path(record["from"]), record["to"], record["unpack"])


def items_of(sections: Sequence[Mapping[str, Any]], where: str) -> tuple[Item, ...]:
    """Check the `stage` list of an experiment and return its items.

    Parameters
    ----------
    where
        For messages, such as "config: experiments.digits.stage".

    Raises
    ------
    ConfigError
        When a source is missing, is no archive though it is to be unpacked, or two would be in one place.
    """
    items: list[Item] = []
    for number, section in enumerate(sections):
        source = Path(section["from"])
        here = f"{where}.{number}"
        if not source.exists():
            raise ConfigError(f"{here}.from: found no file or folder {source}, expected what is to be staged")
        if section["unpack"] and (source.is_dir() or not source.name.endswith(_SUFFIXES)):
            what = "a folder" if source.is_dir() else source.name
            expected = "an archive (.tar, .tar.gz, .tar.zst, .tar.bz2, .tar.xz, .zip), or unpack: false"
            raise ConfigError(f"{here}.unpack: found {what}, expected {expected}")
        to = section["to"] or (_stem(source.name) if section["unpack"] else source.name)
        for other in items:
            if _is_inside(to, other.to) or _is_inside(other.to, to):
                raise ConfigError(f"{here}.to: found {to}, which overlaps {other.to}, expected another path")
        items.append(Item(source.resolve(), check_inside(to, f"{here}.to"), section["unpack"]))
    return tuple(items)


def check_inside(path: str, where: str) -> str:
    """Return a path or pattern in normal form; refuse one that leads out of the folder that it is relative to.

    Raises
    ------
    ConfigError
        When it is absolute, has `..` in it, or is the folder itself.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ConfigError(f"{where}: found {path!r}, expected a path below $RUNFERRY_DATA, without `..`")
    return str(PurePosixPath(path))


def _stem(name: str) -> str:
    suffix = max((suffix for suffix in _SUFFIXES if name.endswith(suffix)), key=len)
    return name.removesuffix(suffix)


def _is_inside(path: str, other: str) -> bool:
    return PurePosixPath(path).is_relative_to(other)
