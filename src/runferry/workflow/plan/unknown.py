"""List what is not established of a cluster and matters to a plan: nothing is checked against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runferry.config.cluster import Cluster
    from runferry.config.job_request import Request


def not_established(cluster: Cluster, requests: Iterable[Request]) -> list[str]:
    """List the facts that the jobs' requests would be held to, were they known; nothing without Slurm.

    Parameters
    ----------
    requests
        Of all experiments.
    """
    if not cluster.slurm or cluster.jobs is None:
        return []
    found: dict[str, bool] = {}
    for request in requests:
        gpu, kind = request.gpu, "GPU" if request.gpus else "CPU"
        found[f"the longest {kind} job"] = cluster.jobs.longest(request.gpus) is None
        if gpu and gpu.request:
            found[f"{gpu.name}: how many a node has"] = gpu.counts is None
            found[f"{gpu.name}: its share of cores"] = gpu.cores is None
            found[f"{gpu.name}: its share of memory"] = gpu.memory is None
    found["how many jobs a user may have"] = cluster.jobs.cap is None
    return [what for what, unknown in found.items() if unknown]
