"""Remove the lock of a Snakemake that died, so that it does not keep the next one from starting.

Snakemake locks the folder that it works in and names nobody in the lock: killed, or gone with its login node, it leaves
that behind. So it is written down who has started. That process gone, on the machine that it was started on, its lock
is removed; on another machine nobody can know, and Snakemake's own message says what to type.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.system.files import read_json, write_json
from runferry.system.processes import is_alive, start_of

if TYPE_CHECKING:
    from collections.abc import Callable

_STATE = Path(".snakemake")
_FILE = _STATE / "runferry-controller.json"


def note_start() -> None:
    """Record that this process works in the current folder."""
    write_json(_FILE, {"host": socket.gethostname(), "pid": os.getpid(), "pid_start": start_of(os.getpid())})


def remove_stale_lock(say: Callable[[str], None]) -> None:
    """Remove the locks of a controller that was started on this machine and has ended.

    Parameters
    ----------
    say
        Takes a line for the user.
    """
    locks = list((_STATE / "locks").glob("*.lock"))
    if not locks:
        return
    try:
        holder = read_json(_FILE)
    except (FileNotFoundError, ValueError):
        return
    if holder.get("host") != socket.gethostname() or is_alive(holder["pid"], holder.get("pid_start")):
        return
    for lock in locks:
        lock.unlink(missing_ok=True)
    say(f"the Snakemake that worked here before (process {holder['pid']}) is gone; its lock is removed")
