"""List all checks of the doctor on a login node."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from runferry.doctor import locks, scheduler, software, storage, submission, wandb_server
from runferry.doctor.checking import Check
from runferry.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runferry.doctor.site import Site


def login_checks(site: Site, packages: Sequence[str]) -> list[Check]:
    """List the checks of a site; those of Slurm only where the cluster has it.

    Parameters
    ----------
    packages
        Further ones to look for in the wheelhouse.
    """
    slurm = [
        Check(scheduler.ABOUT, scheduler.SECONDS, partial(scheduler.scheduler, site)),
        Check(submission.ACCOUNTS, submission.SECONDS, partial(submission.accounts, site)),
    ]
    return [
        Check("cluster", 10.0, partial(_cluster, site)),
        Check(software.MODULES, software.SECONDS, partial(software.modules, site)),
        Check(software.WHEELHOUSE, software.SECONDS, partial(software.wheelhouse, site, packages)),
        *(slurm if site.cluster.slurm else []),
        Check(storage.ABOUT, storage.SECONDS, partial(storage.storage, site.folder)),
        Check(locks.ABOUT, locks.SECONDS, partial(locks.locks, site.folder)),
        Check(wandb_server.ABOUT, wandb_server.SECONDS, partial(wandb_server.wandb_server, site)),
    ]


def _cluster(site: Site) -> Iterator[Finding]:
    about, cluster = "cluster", site.cluster
    named = os.environ.get("CC_CLUSTER")
    if named is None:
        yield Finding(about, "$CC_CLUSTER", "info", "is not set; the Alliance's clusters set it")
    else:
        other = f"{cluster.name}, whose facts these are" * (named != cluster.name)
        yield Finding(about, "$CC_CLUSTER", "differs" if other else "ok", named, other)
    yield Finding(about, "host", "info", f"{socket.gethostname()}; the page names {cluster.login_host}")
    if cluster.retired:
        found = f"{cluster.title} is gone since {cluster.retired.since}"
        yield Finding(about, "in service", "problem", found, todo=f"--profile profiles/{cluster.retired.successor}")
