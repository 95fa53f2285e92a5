"""Which file system a path is on, and how that is mounted here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """A mounted file system.

    Attributes
    ----------
    kind : str
        Such as "ext4", "lustre" or "tmpfs"; "" where it is not to be found.
    options : tuple
        Of the mount and of the file system, such as "rw" and "flock".
    """

    kind: str = ""
    options: tuple[str, ...] = ()


def mount_of(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> Mount:
    """Find the mount that holds `path`, by its device."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.read_text().splitlines():
        fields = line.split()
        if len(fields) > 6 and fields[2] == number:
            kind, _, *options = fields[fields.index("-") + 1 :]
            return Mount(kind, tuple(option for part in (fields[5], *options) for option in part.split(",")))
    return Mount()
