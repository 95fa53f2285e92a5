"""Look at the lock of the folder that Snakemake works in: remove that of one that died, name another that works there.

Snakemake locks the folder that it works in and names nobody in the lock: killed, or gone with its login node, it leaves
that behind. So it is written down who has started. That process gone, on the machine that it was started on, its lock
is removed; on another machine nobody can know, and Snakemake's own message says what to type.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.system.files import read_json, write_json
from runferry.system.processes import is_alive, start_of

if TYPE_CHECKING:
    from collections.abc import Callable

_STATE = Path(".snakemake")
_FILE = _STATE / "runferry-controller.json"


@dataclass(frozen=True)
class OtherController:
    """Another Snakemake that works in the folder."""

    name: str
    outputs: frozenset[str]
    """The files that it makes, as in its lock."""

    def refuse(self, output: str, *, locks: Callable[[], bool]) -> None:
        """End this Snakemake where it would make a file that the other makes: its own message takes seven lines.

        Parameters
        ----------
        output
            A file that is missing, and that a rule of this start makes.
        locks
            Whether this start takes the lock: not a dry run, nor one with `--nolock`.
        """
        if output in self.outputs and locks():
            expected = "expected one at a time for the same runs; wait until it has ended"
            sys.exit(f"runferry: {Path.cwd()}: found {self.name} at work here, {expected}; run: runferry status")


def note_start() -> None:
    """Record that this process works in the current folder."""
    write_json(_FILE, {"host": socket.gethostname(), "pid": os.getpid(), "pid_start": start_of(os.getpid())})


def look_at_lock(say: Callable[[str], None]) -> OtherController | None:
    """Remove the locks of a controller that was started on this machine and has ended; return one that has not.

    Parameters
    ----------
    say
        Takes a line for the user.
    """
    locks = list((_STATE / "locks").glob("*.lock"))
    if not locks:
        return None
    try:
        holder = read_json(_FILE)
    except (FileNotFoundError, ValueError):
        return None
    if holder.get("host") != socket.gethostname():
        return None
    pid = int(holder["pid"])
    if is_alive(pid, holder.get("pid_start")):
        since = datetime.fromtimestamp(_FILE.stat().st_mtime).astimezone()
        outputs: set[str] = set()
        for lock in locks:
            if lock.name.endswith(".output.lock"):
                with suppress(OSError):
                    outputs.update(lock.read_text().splitlines())
        # This process's own, where the workflow is used a second time in it, has not begun.
        return OtherController(f"a Snakemake (process {pid}, since {since:%Y-%m-%d %H:%M})", frozenset(outputs))
    for lock in locks:
        lock.unlink(missing_ok=True)
    say(f"the Snakemake that worked here before (process {pid}) is gone; its lock is removed")
    return None
