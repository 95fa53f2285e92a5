"""A person's own machine beside the cluster: a network of its own, with a server that nobody else reaches."""

from __future__ import annotations

import ctypes
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.slurm.namespaces import call, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_NETWORK = 0x40000000
"""CLONE_NEWNET."""


@dataclass(frozen=True)
class Laptop:
    """Another network on this machine, and the one that it was made from."""

    keeper: int
    outer: int

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be there with the calling thread: the sockets that it opens and the processes that it starts are there."""
        _enter(self.keeper)
        try:
            yield
        finally:
            _enter(self.outer)

    @contextmanager
    def left(self) -> Iterator[None]:
        """Be outside for a while, on the login node."""
        _enter(self.outer)
        try:
            yield
        finally:
            _enter(self.keeper)

    @property
    def way_out(self) -> str:
        """Words before a command that have it run outside, as ssh has it run at the site."""
        return f"nsenter --target {self.outer} --net --"


@contextmanager
def laptop() -> Iterator[Laptop]:
    """Make one, with a loopback and no way to anywhere."""
    with (
        subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as keeper,
        # This process's own network is where its threads are.
        subprocess.Popen(["sleep", "infinity"]) as outer,
    ):
        try:
            wait_for(lambda: Path(f"/proc/{keeper.pid}/comm").read_text() == "sleep\n", "another network")
            call("nsenter", "--target", str(keeper.pid), "--net", "--", "ip", "link", "set", "lo", "up")
            yield Laptop(keeper.pid, outer.pid)
        finally:
            keeper.kill()
            outer.kill()


def _enter(process: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{process}/ns/net") as network:  # noqa: PTH123
        if libc.setns(network.fileno(), _NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
