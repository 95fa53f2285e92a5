"""Control groups of version 1, with which Slurm 22.05 follows a job's processes as the sites' Slurm does.

What depends on it: with them a signal of scancel, a requeue, a preemption or a time limit comes to the task of each
step alone, and a job is held to its memory. Without them Slurm follows process groups, where the signal comes to every
process of a step, so that whoever tests there sees trainings stop that would not have heard anything at a site.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HIERARCHIES = ("freezer", "memory")
MOUNTED = Path("/sys/fs/cgroup")


def mount(folder: Path) -> Path | None:
    """Find where the hierarchies are mounted that a cluster needs, or mount them in its folder.

    Returns
    -------
    Path or None
        The folder that has one folder for each; None where this machine's kernel or its root may not have them.
    """
    if _writable(MOUNTED):
        return MOUNTED
    own = own_mounts(folder)
    for name in HIERARCHIES:
        (own / name).mkdir(parents=True, exist_ok=True)
        # Where the machine has it as version 2, or not at all, the kernel refuses.
        tried = subprocess.run(
            ["mount", "-t", "cgroup", "-o", name, "cgroup", own / name], capture_output=True, check=False
        )
        if tried.returncode:
            unmount(folder)
            return None
    if _writable(own):
        return own
    unmount(folder)
    return None


def usable() -> bool:
    """Say whether a cluster on this machine would follow processes with control groups."""
    if _writable(MOUNTED):
        return True
    # In a namespace of mounts that goes with the process, so that nothing of it stays.
    mounts = " && ".join(f"mount -t cgroup -o {name} cgroup /mnt && umount /mnt" for name in HIERARCHIES)
    return not subprocess.run(["unshare", "--mount", "sh", "-c", mounts], capture_output=True, check=False).returncode


def unmount(folder: Path) -> None:
    """Take away what `mount` has mounted in a cluster's folder; nothing there is no error."""
    for name in HIERARCHIES:
        mounted = own_mounts(folder) / name
        if mounted.is_dir():
            subprocess.run(["umount", "--lazy", mounted], capture_output=True, check=False)
            with contextlib.suppress(OSError):
                mounted.rmdir()


def own_mounts(folder: Path) -> Path:
    """Name the folder of the hierarchies that a cluster has mounted itself."""
    return folder / "cgroup"


def remove_groups(folder: Path, nodes: Sequence[str]) -> bool:
    """Remove the control groups that nodes' slurmd made, which outlive the processes; True when none is left."""
    found = [group for node in nodes for top in (MOUNTED, own_mounts(folder)) for group in top.glob(f"*/slurm_{node}")]
    for group in found:
        # Innermost first; a group stays busy for a moment when its last process has ended.
        for inner in [*reversed([inner for inner in group.rglob("*") if inner.is_dir()]), group]:
            with contextlib.suppress(OSError):
                inner.rmdir()
    return not found


def _writable(top: Path) -> bool:
    # Version 1 alone has this file.
    return all((top / name / "tasks").exists() and os.access(top / name, os.W_OK) for name in HIERARCHIES)
