"""Check whether something fits where it is to be put: on a disk, or in memory where the node's disk is memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from runferry.errors import PackingError

_CGROUPS = Path("/sys/fs/cgroup")


_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


def check_room(destination: Path, needed: int, what: str, *, inodes: int = 0) -> None:
    """Refuse what does not fit onto a disk, before it is begun.

    Parameters
    ----------
    destination
        A folder that exists.
    needed
        Bytes.
    what
        For the message, such as "the environment".
    inodes
        Files, links and folders.

    Raises
    ------
    PackingError
        With how much is missing. Where the folder is in memory, what the job may use of it counts.
    """
    disk = os.statvfs(destination)
    free = disk.f_bavail * disk.f_frsize
    todo = "ask for more local disk"
    if filesystem_of(destination) in _IN_MEMORY:
        memory = free_memory()
        if memory < free:
            free, todo = memory, "it is in memory, and counts as the job's: ask for more memory"
    if free < needed:
        message = (
            f"{destination}: {_megabytes(needed - free)} too little room for {what}: found {_megabytes(free)} free, "
            f"expected {_megabytes(needed)}; {todo}"
        )
        raise PackingError(message)
    # Some filesystems have no fixed number of inodes and say 0.
    if disk.f_files and disk.f_favail < inodes:
        message = (
            f"{destination}: {inodes - disk.f_favail} too few inodes for {what}: found {disk.f_favail} free, expected "
            f"{inodes}, one for each file"
        )
        raise PackingError(message)


def filesystem_of(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the filesystem that holds `path`, such as "ext4" or "tmpfs"; "" when it is not found."""
    return mount_of(path, mounts).kind


def free_memory(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Return the bytes of memory that this process's job may still use: the node's, or what its cgroups leave."""
    available = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    return min([available, *_left_in_cgroups(cgroups, own)])


def _left_in_cgroups(cgroups: Path, own: Path) -> list[int]:
    left: list[int] = []
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, limit_name, usage_name = cgroups, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            top, limit_name, usage_name = cgroups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = top / path.strip("/")
        # A limit holds for all below it, so that Slurm's, on the job, is one of a step's parents.
        for level in [folder, *folder.parents]:
            try:
                limit, usage = (level / limit_name).read_text().strip(), (level / usage_name).read_text()
            except OSError:
                continue
            if limit.isdigit():
                left.append(max(0, int(limit) - int(usage)))
            if level == top:
                break
    return left


def _megabytes(count: int) -> str:
    return f"{-(-count // 10**6)} MB"


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
    """Return the mount that holds `path`, found by its device."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.read_text().splitlines():
        fields = line.split()
        if len(fields) > 6 and fields[2] == number:
            kind, _, *options = fields[fields.index("-") + 1 :]
            return Mount(kind, tuple(option for part in (fields[5], *options) for option in part.split(",")))
    return Mount()
