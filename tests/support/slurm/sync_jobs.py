"""Sync in jobs of the test cluster, while its login node has no way to the server: for `support.sync_campaign`."""

from __future__ import annotations

import random
import signal
import socket
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from runferry_standin import running_process
from support.slurm.cluster import FOLDER, exclusively, found_in
from support.slurm.namespaces import ClusterError, wait_for
from support.slurm.network import Firewall
from support.slurm.relay import relayed
from support.slurm.sites import DEFAULT_PARTITION
from support.sync_campaign import Here

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from runferry_standin import StandIn
    from support.slurm.cluster import Cluster

JOBS_NAME = "runferry-sync"


class InJobs(Here):
    """Syncs in jobs: `runferry sync --in-job`, as the workflow of a site with `sync.where: job` types it."""

    words: Sequence[str] = (f"--in-job={DEFAULT_PARTITION}", "--job-account=def-test_cpu", "--job-minutes=15")

    def __init__(self, cluster: Cluster, ports: Sequence[int]) -> None:
        self._cluster = cluster
        self._ports: SimpleQueue[int] = SimpleQueue()
        for port in ports:
            self._ports.put(port)

    @contextmanager
    def server(self) -> Generator[tuple[StandIn, dict[str, str]]]:
        """Start a server; jobs reach it by the cluster's address, where it hangs up on the login node."""
        address = self._cluster.address
        port = self._ports.get()
        try:
            with running_process(port=port) as server, relayed(address, port, closed_to=address):
                yield server, server.environment | {"WANDB_BASE_URL": f"http://{address}:{port}"}
        finally:
            self._ports.put(port)

    def kill(self, sync: subprocess.Popen[str], folder: Path, chosen: random.Random) -> None:
        """Kill the sync that submits, or its job: at once, or as `scancel` does."""
        how = chosen.choice(["submitter", "--signal=KILL --full", "--full --signal=TERM", ""])
        if how == "submitter":
            sync.send_signal(signal.SIGKILL)
            return
        # It may not be in the queue yet.
        with suppress(ClusterError):
            wait_for(lambda: self._jobs(folder), "the job that syncs", 10)
        for job in self._jobs(folder):
            self._cluster.run("scancel", *how.split(), job, check=False)

    def end(self, folder: Path) -> None:
        """Cancel the jobs that were submitted in a folder, and wait until they have ended."""
        for job in self._jobs(folder):
            self._cluster.run("scancel", "--signal=KILL", "--full", job, check=False)
            self._cluster.run("scancel", job, check=False)
            self._cluster.wait_for_job(job)

    def _jobs(self, folder: Path) -> list[str]:
        queue = self._cluster.run("squeue", "--noheader", f"--name={JOBS_NAME}", "--format=%i %Z", check=False)
        lines = [line.split(maxsplit=1) for line in queue.splitlines()]
        return [job for job, place in lines if place == str(folder)]


@contextmanager
def jobs_of_cluster(at_once: int, folder: Path = FOLDER) -> Generator[InJobs]:
    """Have the cluster in a folder alone; its nodes reach the ports of so many servers, and nothing else.

    Raises
    ------
    ClusterError
        When none is up.
    """
    cluster = found_in(folder)
    if cluster is None or not cluster.answers():
        raise ClusterError("found no test cluster up, expected one; type: make cluster-up")
    ports = _free_ports(cluster.address, at_once)
    with exclusively(cluster.folder), cluster.reaching(Firewall(open_ports=ports)):
        yield InJobs(cluster, ports)


def _free_ports(address: str, number: int) -> tuple[int, ...]:
    with ExitStack() as sockets:
        taken = [sockets.enter_context(socket.create_server((address, 0))) for _ in range(number)]
        return tuple(each.getsockname()[1] for each in taken)
