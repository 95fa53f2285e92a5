"""Check the room on the file systems that runferry writes to: bytes, inodes, and the site's report of quotas."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.finding import Finding
from runferry.system.disk_space import mount_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ABOUT = "storage"
SECONDS = 30.0
LEAST_BYTES, LEAST_INODES = 10**9, 10_000
"""Below which an environment, or the segments of some hundred runs, would not fit."""
_LOCKING = ("flock", "localflock", "noflock", "nolock", "local_lock=")


def storage(folder: Path) -> Iterator[Finding]:
    """Check the room in the working folder, the home folder, `$SCRATCH` and `$TMPDIR`, and the quotas."""
    named = {"working folder": folder, "$HOME": Path.home()}
    named |= {f"${name}": Path(os.environ[name]) for name in ("SCRATCH", "TMPDIR") if os.environ.get(name)}
    for name, place in named.items():
        yield room(ABOUT, name, place)
    try:
        said = answer_of("diskusage_report", seconds=20)
    except NoAnswerError as error:
        # A tool of the Alliance's sites; elsewhere there is none.
        yield Finding(ABOUT, "quotas (diskusage_report)", "info", str(error))
        return
    for line in filter(None, map(str.strip, said.splitlines()[:20])):
        yield Finding(ABOUT, "quotas (diskusage_report)", "info", re.sub(r"\s+", " ", line))


def room(about: str, name: str, place: Path) -> Finding:
    """Return the finding about the free room where a folder is: the whole file system's, not the user's quota."""
    try:
        disk = os.statvfs(place)
    except OSError as error:
        return Finding(about, name, "problem", f"{place}: {error.strerror}", "a folder")
    free, inodes = disk.f_bavail * disk.f_frsize, disk.f_favail
    found = f"{place}: {in_gigabytes(free)} of {in_gigabytes(disk.f_blocks * disk.f_frsize)} free"
    # Some filesystems have no fixed number of inodes and say 0.
    found += f", {inodes:,} inodes free, {on_disk(place)}" if disk.f_files else f", {on_disk(place)}"
    if free < LEAST_BYTES or (disk.f_files and inodes < LEAST_INODES):
        expected = f"{in_gigabytes(LEAST_BYTES)} and {LEAST_INODES:,} inodes at least"
        return Finding(about, name, "problem", found, expected, "free some, or go to another folder")
    return Finding(about, name, "ok", found)


def on_disk(place: Path) -> str:
    """Return the type of a file system, with its mount options that concern locks: "lustre (flock)"."""
    mount = mount_of(place)
    locking = dict.fromkeys(option for option in mount.options if option.startswith(_LOCKING))
    return f"{mount.kind} ({', '.join(locking)})" if locking else mount.kind or "file system not known"


def in_gigabytes(count: int) -> str:
    """Return a number of bytes as text in gigabytes."""
    return f"{count / 1e9:,.1f} GB"
