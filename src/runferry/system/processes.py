"""Read processes from /proc, and end all that are left of a session."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_SHOWN = 60
"""Characters of a command that are shown."""


def end_session(session: int, patience_seconds: float, grace_seconds: float) -> list[str]:
    """End the processes left of a session: data loader workers, ranks, the children of a killed shell script.

    Parameters
    ----------
    session
        Its number: the process id of its leader, which may have ended.
    patience_seconds
        How long they may take to end by themselves before they get a SIGTERM.
    grace_seconds
        How long after it, before they get a SIGKILL.

    Returns
    -------
    list of str
        The processes that got a SIGTERM: each one's number and the beginning of its command.
    """
    ended: list[str] = []
    for seconds, number in ((patience_seconds, signal.SIGTERM), (grace_seconds, signal.SIGKILL)):
        deadline = time.monotonic() + seconds
        while members := _session_members(session):
            if time.monotonic() >= deadline:
                ended = ended or [_described(pid) for pid in members]
                for pid in members:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
                break
            time.sleep(0.02)
        else:
            break
    return ended


def is_alive(pid: int, start: int | None = None) -> bool:
    """Return whether a process of this machine is running, whoever owns it.

    Parameters
    ----------
    pid
        Its id.
    start
        What `start_of` returned for it, where that is known: another process may have got its id.
    """
    return _process_fields(pid) is not None and (start is None or start_of(pid) == start)


def start_of(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the machine did; None when it has ended."""
    fields = _process_fields(pid)
    return int(fields[19]) if fields else None


def parent_of(pid: int) -> int:
    """Return the id of a process's parent; 0 when the process has ended."""
    fields = _process_fields(pid)
    return int(fields[1]) if fields else 0


def with_ancestors(pid: int) -> list[int]:
    """Return a process's id and those of its parent, its parent's parent and so on, below process 1."""
    found = [pid]
    while (above := parent_of(found[-1])) > 1:
        found.append(above)
    return found


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children, of their children and so on, whatever their sessions."""
    parents = {each: int(fields[1]) for each, fields in _all_fields().items()}
    found: list[int] = []
    new = [pid]
    while new := [child for child, parent in parents.items() if parent in new]:
        found += new
    return found


def stat_fields(text: str) -> list[str]:
    """Split /proc/<pid>/stat into its fields from the third (state) on: see proc(5), numbers less three."""
    # The second field, the name in brackets, may hold anything.
    return text[text.rindex(")") + 2 :].split()


def _session_members(session: int) -> list[int]:
    return [pid for pid, fields in _all_fields().items() if int(fields[3]) == session]


def _all_fields() -> dict[int, list[str]]:
    names = os.listdir("/proc")  # noqa: PTH208 - thousands of names, a Path of each is dear
    found = {int(name): _process_fields(int(name)) for name in names if name.isdigit()}
    return {pid: fields for pid, fields in found.items() if fields}


def _described(pid: int) -> str:
    words = ""
    with suppress(OSError):
        # On one line, whatever is in it.
        words = " ".join(Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").split())
    shown = words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."
    return f"process {pid} ({shown})" if shown else f"process {pid}"


def _process_fields(pid: int) -> list[str] | None:
    """Read the fields of a process; None when it has ended, though its parent may not have asked yet (a zombie)."""
    try:
        fields = stat_fields(Path(f"/proc/{pid}/stat").read_text(errors="replace"))
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields
