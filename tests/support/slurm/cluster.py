"""A real Slurm cluster on one Debian machine, and what a test does with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.slurm import network
from support.slurm import start as cluster_start
from support.slurm.namespaces import LOGIN_SIDE, ClusterError, call, inside, keepers, start_daemon, wait_for
from support.slurm.shape import DEFAULT, Node
from support.slurm.sites import OURS, Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# One machine has one cluster, as it has one slurm.conf.
FOLDER = Path("/tmp/rf-slurm")
UNFINISHED = {"PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "STAGE_OUT", "REQUEUED", "STOPPED"}


@dataclass
class Cluster:
    """A running cluster. The login side is this machine itself; a node is a set of namespaces.

    Attributes
    ----------
    folder
        Configuration, logs and everything else that the cluster writes.
    shape
        The nodes it was started with.
    firewall
        What the nodes reach, as far as this object has set it.
    site
        Its partitions, qualities of service and accounts.
    """

    folder: Path = FOLDER
    shape: Sequence[Node] = DEFAULT
    firewall: network.Firewall = field(default_factory=network.Firewall)
    site: Site = OURS

    @property
    def nodes(self) -> list[str]:
        """Names of the compute nodes."""
        return [node.name for node in self.shape]

    @property
    def address(self) -> str:
        """Address of the login side, as a node sees it."""
        return network.LOGIN

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to submit: this one's environment, without what would change a submission.

        Slurm's programs find the cluster by /etc/slurm/slurm.conf, as at the sites.
        """
        prefixes = ("SLURM", "SBATCH", "SALLOC", "SRUN", "SQUEUE", "SINFO", "SACCT", "SCANCEL", "SCONTROL")
        return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}

    @property
    def tracks_by_cgroup(self) -> bool:
        """Whether its Slurm follows processes by control group, as the sites' does: see `cgroups`."""
        return "proctrack/cgroup" in (self.folder / "etc" / "slurm.conf").read_text()

    def run(self, *command: str | Path, check: bool = True, cwd: Path | None = None) -> str:
        """Run a command on the login side and return what it printed; `ClusterError` if it fails and `check`."""
        return call(*command, check=check, environment=self.environment, cwd=cwd)

    def on_node(self, node: str, *command: str, check: bool = True) -> str:
        """Run a command on a node, outside any job, as its administrator would."""
        return self.run(*inside(self._keeper(node)), *command, check=check)

    def daemons(self) -> list[str]:
        """Name the programs that run on the login side, Slurm's own among them."""
        return self.programs(LOGIN_SIDE)

    def programs(self, node: str) -> list[str]:
        """Name the programs that run on a node."""
        return self.on_node(node, "ps", "-eo", "comm=").split()

    def submit(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Give arguments to sbatch and return the job's id."""
        return self.run("sbatch", "--parsable", *arguments, cwd=cwd).strip().splitlines()[-1]

    def wait_for_job(self, job: str, seconds: float = 60) -> str:
        """Wait until a job has ended, its Epilog included, and return its state as Slurm names it."""

        def ended() -> str | None:
            state = re.search(r"JobState=(\w+)", self.run("scontrol", "--oneliner", "show", "job", job))
            return state[1] if state and state[1] not in UNFINISHED else None

        return wait_for(ended, f"the end of job {job}", seconds) or ""

    def states(self) -> dict[str, str]:
        """Give every node's state, as sinfo has it; none where the scheduler does not answer."""
        # While the scheduler is away, sinfo prints why; a node in several partitions is printed several times.
        printed = self.run("sinfo", "--noheader", "--Node", "--format=node %N %T", check=False)
        return dict(re.findall(r"^node (\S+) (\S+)$", printed, re.MULTILINE))

    def answers(self) -> bool:
        """Say whether the cluster in the folder is up: all its namespaces are there and its scheduler answers."""
        complete = {LOGIN_SIDE, *self.nodes} == set(keepers(self.folder))
        return complete and (self.folder / "ready").exists() and "is UP" in self.run("scontrol", "ping", check=False)

    def start(self) -> None:
        """Start it: `start.start`."""
        cluster_start.start(self)

    def stop(self) -> None:
        """Stop it: `start.stop`."""
        cluster_start.stop(self)

    # What a node reaches.

    def set_firewall(self, firewall: network.Firewall) -> None:
        """Choose what the nodes reach on the login side, and how they fail to reach the rest."""
        firewall.apply([inside(self._keeper(node)) for node in self.nodes])
        self.firewall = firewall

    @contextlib.contextmanager
    def reaching(self, firewall: network.Firewall) -> Iterator[None]:
        """Have another firewall for a while."""
        before = self.firewall
        self.set_firewall(firewall)
        try:
            yield
        finally:
            self.set_firewall(before)

    # What goes wrong on a cluster.

    def kill_slurmd(self, node: str) -> None:
        """Kill a node's slurmd; what the node runs goes on."""
        self.on_node(node, "pkill", "-KILL", "-x", "slurmd")

    def start_slurmd(self, node: str) -> None:
        """Start a node's slurmd."""
        log, conf = self.folder / "log" / f"slurmd-{node}.out", self.folder / "etc" / "slurm.conf"
        start_daemon(self._keeper(node), log, "slurmd", "-D", "-N", node, "-f", conf)

    def stop_slurmctld(self) -> None:
        """Stop the scheduler, which writes down what it knows; killed, it would forget the jobs of the last seconds."""
        self.on_node(LOGIN_SIDE, "pkill", "-TERM", "-x", "slurmctld")
        wait_for(lambda: "slurmctld" not in self.programs(LOGIN_SIDE), "the end of slurmctld")

    def start_slurmctld(self) -> None:
        """Start the scheduler; it remembers its jobs."""
        log, conf = self.folder / "log" / "slurmctld.out", self.folder / "etc" / "slurm.conf"
        start_daemon(self._keeper(LOGIN_SIDE), log, "slurmctld", "-D", "-f", conf)

    def stop_slurmdbd(self) -> None:
        """Stop the accounting."""
        self.on_node(LOGIN_SIDE, "pkill", "-TERM", "-x", "slurmdbd")
        wait_for(lambda: "slurmdbd" not in self.programs(LOGIN_SIDE), "the end of slurmdbd")

    def start_slurmdbd(self) -> None:
        """Start the accounting."""
        log, conf = self.folder / "log" / "slurmdbd.out", self.folder / "etc" / "slurm.conf"
        # It has no option for it: its configuration is beside what this variable names.
        start_daemon(self._keeper(LOGIN_SIDE), log, "env", f"SLURM_CONF={conf}", "slurmdbd", "-D")

    def set_cable(self, node: str, state: str) -> None:
        """Unplug a node (`down`) or plug it in again (`up`)."""
        self.run("ip", "link", "set", network.link(self.nodes.index(node)), state)

    def _keeper(self, name: str) -> int:
        found = keepers(self.folder)
        if name not in found:
            msg = f"found no {name!r} running, expected one of {', '.join(sorted(found)) or 'a cluster that is up'}"
            raise ClusterError(msg)
        return found[name]


def found_in(folder: Path) -> Cluster | None:
    """Give the cluster that was started in a folder, whether or not it is whole; None if there is none."""
    try:
        shape = (folder / "shape").read_text().splitlines()
    except FileNotFoundError:
        return None
    return Cluster(folder, [Node.parse(line) for line in shape])


def in_use(folder: Path) -> bool:
    """Say whether tests run on the cluster in a folder."""
    with contextlib.suppress(FileNotFoundError), (folder / "users").open() as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold what only one process at a time may do: start or stop a cluster."""
    # The folder that holds the link is what they contend for, and locking it leaves no file behind.
    handle = os.open(cluster_start.SLURM_CONF.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def exclusively(folder: Path) -> Iterator[None]:
    """Have the running cluster alone, which tests may break for a while."""
    with locked(folder / "turns", fcntl.LOCK_EX):
        yield


@contextlib.contextmanager
def locked(file: Path, how: int) -> Iterator[None]:
    """Hold a lock (`fcntl.LOCK_SH`, `fcntl.LOCK_EX`) on a file of the cluster's."""
    with file.open() as handle:
        fcntl.flock(handle, how)
        yield
