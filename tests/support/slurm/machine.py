"""Another machine, as far as a cluster can tell: tests bring up clusters on it that the shared one does not notice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support.paths import ROOT
from support.slurm.namespaces import call, clean_environment, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

BRING_UP = ROOT / "tests" / "support" / "slurm" / "bring_up.py"


@dataclass
class Machine:
    """Another machine, as far as a cluster can tell: a network, mounts and an /etc/slurm of its own."""

    keeper: int
    folder: Path

    @property
    def nodes(self) -> list[str]:
        """Names that no other test's nodes have at the same time: control groups are named after nodes."""
        return [f"x{self.keeper}a", f"x{self.keeper}b"]

    @property
    def up(self) -> list[str]:
        return ["up", f"--node={self.nodes[0]}:4:8000:a100=1", f"--node={self.nodes[1]}"]

    def bring_up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.begun(*arguments) as process:
            output, _ = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, output)

    def begun(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.inside, sys.executable, BRING_UP, f"--folder={self.folder}", *arguments],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, script: str) -> str:
        return call(*self.inside, "sh", "-ec", script, environment=clean_environment())

    def state(self) -> str:
        """Everything that a cluster could leave behind."""
        return self.run(f"""
            ip -oneline address; ip route; nft list ruleset; ss -Htln; cat /proc/self/mountinfo
            find /etc/slurm {self.folder.parent} -printf '%p %M %l\\n'
            find /sys/fs/cgroup -name 'slurm_x{self.keeper}*'""") + "".join(self.processes())

    def processes(self) -> Iterator[str]:
        """Name the processes that belong to the cluster, by their command line or their environment."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                if str(self.folder).encode() in command + (process / "environ").read_bytes():
                    yield f"{process.name} {command}\n"

    @property
    def inside(self) -> list[str]:
        # Without a namespace of processes: nsenter becomes the command itself, which signals are meant for.
        return ["nsenter", "--target", str(self.keeper), "--net", "--mount"]


@contextlib.contextmanager
def another_machine() -> Iterator[Machine]:
    """Make one; afterwards nothing of it is left."""
    # Not below tmp_path: sockets have short names.
    top = Path(tempfile.mkdtemp(prefix="rf-"))
    (top / "slurm").mkdir()
    with subprocess.Popen(["unshare", "--net", "--mount", "sleep", "infinity"]) as keeper:
        machine = Machine(keeper.pid, top / "c" / "c")
        try:
            machine.folder.parent.mkdir()
            wait_for(lambda: Path(f"/proc/{keeper.pid}/comm").read_text() == "sleep\n", "another machine")
            machine.run(f"ip link set lo up && mount --bind {top}/slurm /etc/slurm")
            yield machine
        finally:
            with contextlib.suppress(Exception):
                machine.bring_up("down")
            for left in list(machine.processes()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(left.partition(" ")[0]), signal.SIGKILL)
            keeper.kill()
    shutil.rmtree(top)
