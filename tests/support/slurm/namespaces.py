"""The namespaces that the test cluster lives in, each held open by one sleeping process, its keeper.

A keeper is the first process of a PID namespace: when it is killed, the kernel kills everything inside, and with the
last process the mounts and the network interfaces go too. Nothing is written down about keepers, since what is written
down can be lost or wrong: they carry a mark in their environment and are looked for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Seen = TypeVar("Seen")

MARK = "RUNFERRY_TEST_CLUSTER"
LOGIN_SIDE = "login side"  # no node can have this name

# Children whose parent has ended come to the keeper; as it ignores SIGCHLD, the kernel buries them.
_KEEPER = ["env", "--ignore-signal=CHLD", "sleep", "infinity"]


class ClusterError(Exception):
    """The cluster cannot be what was asked for; one line says why and what to do."""


def open_namespaces(folder: Path, name: str, *kinds: str) -> int:
    """Make namespaces of some kinds (`net`, `uts`), always with mounts and PIDs of their own.

    Returns
    -------
    int
        The keeper's id.
    """
    command = ["unshare", *(f"--{kind}" for kind in kinds), "--mount", "--mount-proc", "--pid", "--kill-child"]
    with _interrupted_afterwards():
        # Through a shell that ends, so that the keeper is nobody's child whom nobody awaits.
        subprocess.run(
            ["sh", "-c", 'setsid "$@" &', "sh", *command, *_KEEPER],
            env=clean_environment() | {MARK: _mark(folder, name)},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    return wait_for(lambda: keepers(folder).get(name), f"the namespaces of {name}")


@contextlib.contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Hold back the signals that interrupt a start: between its fork and its exec, nothing marks a process as ours."""
    caught: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda caught_now, _: caught.append(caught_now)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in caught[:1]:
            signal.raise_signal(number)


def keepers(folder: Path) -> dict[str, int]:
    """Find the keepers of the cluster in a folder: name -> process id."""
    found = {}
    for name, process in _marked(folder):
        # A process that has just ended has no namespace any more.
        with contextlib.suppress(OSError):
            if _in_its_own(process) and (process / "comm").read_text() == "sleep\n":
                found[name] = int(process.name)
    return found


def close_namespaces(folder: Path) -> None:
    """End every keeper of the cluster in a folder, and with it everything inside."""

    def kill_all() -> bool:
        marked = _marked(folder)
        for _, process in marked:
            with contextlib.suppress(OSError):
                begun = process / "ns" / "pid_for_children"
                # A keeper's parent is left alone: it ends when the last process inside has ended, which is what is
                # waited for. One that has made no namespace yet has nobody to wait for.
                if _in_its_own(process) or begun.readlink() == (process / "ns" / "pid").readlink():
                    os.kill(int(process.name), signal.SIGKILL)
        return not marked

    wait_for(kill_all, "the end of the cluster's processes")


def inside(process: int) -> list[str]:
    """Give the command that runs another one where a keeper is."""
    return ["nsenter", "--target", str(process), "--net", "--uts", "--mount", "--pid", "--"]


def start_daemon(process: int, log: Path, *command: str | Path) -> None:
    """Start a program where a keeper is, to stay there when its caller has ended; its output goes to `log`."""
    script = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 &'
    call(*inside(process), "sh", "-c", script, "sh", log, *command, environment=clean_environment(), cwd=Path("/"))


def call(
    *command: str | Path,
    check: bool = True,
    said: str | None = None,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command, with `said` on its standard input, and return what it printed.

    Raises
    ------
    ClusterError
        Its exit code was not 0; with `check=False`, what it printed is returned all the same.
    """
    done = subprocess.run(
        command,
        env=environment,
        cwd=cwd,
        input=said or "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if check and done.returncode:
        msg = f"{' '.join(map(str, command))}: exit code {done.returncode}: {done.stdout.strip()}"
        raise ClusterError(msg)
    return done.stdout


def clean_environment() -> dict[str, str]:
    """Give the environment of a daemon: nothing of the person's who starts it."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def wait_for(look: Callable[[], Seen | None], what: str, seconds: float = 60) -> Seen:
    """Look again and again until there is something to see.

    Raises
    ------
    ClusterError
        There was nothing for so many seconds; `what` names it.
    """
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            msg = f"found nothing after {seconds:g} s, expected {what}; look into the log folder"
            raise ClusterError(msg)
        time.sleep(0.02)
    return seen


def _mark(folder: Path, name: str) -> str:
    return f"{folder}:{name}"


def _marked(folder: Path) -> list[tuple[str, Path]]:
    """Find keepers and what starts them: name, and the process's folder in /proc."""
    start = f"{MARK}={folder}:"
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Processes end while they are looked at; a dead one's environment is empty.
        with contextlib.suppress(OSError):
            variables = (process / "environ").read_text(errors="replace").split("\0")
            found += [(one.removeprefix(start), process) for one in variables if one.startswith(start)]
    return found


def _in_its_own(process: Path) -> bool:
    return (process / "ns" / "pid").readlink() != Path("/proc/self/ns/pid").readlink()
