"""One real Slurm cluster for all tests, in however many processes they run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from typing import TYPE_CHECKING

import pytest

from runferry_standin import running
from support.slurm import cluster as slurm_cluster
from support.slurm.cgroups import usable
from support.slurm.cluster import Cluster, exclusively, locked
from support.slurm.machine import another_machine
from support.slurm.start import missing
from support.slurm.user import User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runferry_standin import StandIn
    from support.slurm.machine import Machine


# `make test` runs these tests in a shell's background, where SIGINT is ignored; what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str | None:
    """Say what the tests of signals and of memory are worth on this machine."""
    if missing():
        return None
    return f"Slurm cluster: processes are tracked by {'cgroup' if usable() else 'group, unlike at the sites'}"


@pytest.fixture(scope="session")
def _running_cluster() -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(f"no Slurm cluster here: {reason}")
    with contextlib.ExitStack() as use:
        with slurm_cluster.one_at_a_time():
            cluster = slurm_cluster.found_in(slurm_cluster.FOLDER)
            if not (cluster and cluster.answers()):
                cluster = Cluster()
                cluster.start()
                # One that a person has started stays when the tests have ended.
                (cluster.folder / "started-by-tests").touch()
            elif list(map(str, cluster.shape)) != list(map(str, slurm_cluster.DEFAULT)):
                pytest.fail(f"found a cluster of other nodes up ({', '.join(cluster.nodes)}); type: make cluster-down")
            use.enter_context(locked(cluster.folder / "users", fcntl.LOCK_SH))
        yield cluster
        with slurm_cluster.one_at_a_time():
            use.close()
            if (cluster.folder / "started-by-tests").exists() and not slurm_cluster.in_use(cluster.folder):
                cluster.stop()


@pytest.fixture(scope="session", autouse=True)
def _training_wandb(wandb_python: Callable[[str], Path]) -> None:
    """Train with another wandb than the newest where a test names none: TRAINING_WANDB=0.22.3 pytest tests/cluster."""
    if version := os.environ.get("TRAINING_WANDB"):
        User.python = str(wandb_python(version))


@pytest.fixture
def cluster(_running_cluster: Cluster) -> Iterator[Cluster]:
    """Give the running cluster; other tests may use it at the same time."""
    with locked(_running_cluster.folder / "turns", fcntl.LOCK_SH):
        yield _running_cluster


@pytest.fixture
def cluster_alone(_running_cluster: Cluster) -> Iterator[Cluster]:
    """Give the running cluster to one test alone, which may break it for a while."""
    with exclusively(_running_cluster.folder):
        yield _running_cluster


@pytest.fixture
def machine(cluster: Cluster) -> Iterator[Machine]:
    """Make another machine for a cluster of its own; `cluster` first, whose /localscratch both have then."""
    with another_machine() as machine:
        yield machine


@pytest.fixture
def server() -> Iterator[StandIn]:
    """Give a stand-in for W&B's server, on the login side's loopback."""
    with running(key="5ec2e7" * 7) as standin:
        yield standin
