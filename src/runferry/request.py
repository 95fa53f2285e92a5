"""From an experiment's resources and the cluster's facts to what a run's job asks for.

The names and habits of the resources are those of snakemake-executor-plugin-slurm, read in 2.5.3 and 2.8.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runferry.config import suggest
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.cluster import Cluster, Gpu
    from runferry.experiment import Experiment

LEAST_CORES = 2
"""One for the training process, one for wandb's own (the Alliance's page on W&B)."""
OTHER_MEMORY = 4 * 1024
"""MiB, where neither the user nor the site says anything: what the page's example asks for."""


@dataclass(frozen=True)
class Request:
    """What a job of an experiment asks for."""

    cores: int
    memory: int | None
    """In MiB; None where the site refuses to be told."""
    time: int
    """In minutes."""
    gpu: Gpu | None
    gpus: int
    resources: Mapping[str, int | str] = field(default_factory=dict[str, "int | str"])
    """For Snakemake; what is not in it is not asked for."""

    def paid_by(self, account: str | None) -> Request:
        """Return the request with the account, by the name that this Slurm has for it; None names none."""
        return replace(self, resources={**self.resources, "slurm_account": account}) if account else self


def make_request(experiment: Experiment, cluster: Cluster) -> Request:
    """Fill in what the user left to the site, and word it for the Slurm plugin.

    Parameters
    ----------
    experiment
        Its `cores`, `memory` and `gpu` may be None.
    cluster
        Where it runs.

    Raises
    ------
    ConfigError
        When it is something that the cluster does not have: a GPU model, a MIG instance, a number of GPUs.
    """
    gpu = _gpu(experiment, cluster)
    cores = experiment.cores or _times(gpu.cores if gpu else None, experiment.gpus) or LEAST_CORES
    memory = experiment.memory or _memory_of(gpu, experiment.gpus) or OTHER_MEMORY
    if cluster.slurm:
        cores = max(LEAST_CORES, cores)
    said = memory if cluster.jobs is None or cluster.jobs.memory_flag else None
    # Snakemake wants a number for mem_mb; the plugin does not send 0.
    resources: dict[str, Any] = {"mem_mb": said or 0, "runtime": experiment.time}
    if cluster.slurm:
        # One node: the launcher and the user's command are one process tree.
        resources["nodes"] = 1
        if gpu:
            resources |= _gpu_resources(cluster, gpu, experiment.gpus)
    return Request(
        cores=cores,
        memory=said,
        time=experiment.time,
        gpu=gpu,
        gpus=experiment.gpus,
        resources=resources,
    )


def _gpu_resources(cluster: Cluster, gpu: Gpu, count: int) -> dict[str, int | str]:
    # tasks_per_gpu: plugin 2.5.3 adds --ntasks-per-gpu=1 to each request with `gpu` or `gres`, so that two GPUs are two
    # tasks with all the cores each; 0 keeps it from that in every version, and Slurm's own default is one task.
    match cluster.gpu_option:
        case "gpus":
            return {"gpu": count, "gpu_model": gpu.request, "tasks_per_gpu": 0}
        case "gres":
            return {"gres": f"gpu:{gpu.request}:{count}", "tasks_per_gpu": 0}
        # The plugin has no resource for --gpus-per-node, and lets it pass here.
        case "gpus-per-node":
            return {"slurm_extra": f"--gpus-per-node={gpu.request}:{count}"}
        case _:
            return {"slurm_extra": f"--gpus-per-node={count}"}


def _gpu(experiment: Experiment, cluster: Cluster) -> Gpu | None:
    where = f"config: experiments.{experiment.name}.resources"
    if experiment.gpus == 0:
        if experiment.gpu is not None:
            found = f"found {experiment.gpu} with gpus: 0"
            raise ConfigError(f"{where}.gpu: {found}, expected gpus: 1 or more beside it, or gpu: null")
        return None
    if not cluster.gpus or cluster.default_gpu is None:
        # This machine: its GPUs are not handed out, whatever their model.
        return None
    gpu = cluster.gpus[cluster.default_gpu]
    if experiment.gpu is not None:
        named = cluster.gpu_names.get(experiment.gpu.lower())
        if named is None:
            expected = f"expected one of {', '.join(cluster.gpus)}"
            hint = suggest(experiment.gpu, cluster.gpus)
            raise ConfigError(f"{where}.gpu: found {experiment.gpu!r}, {expected} on {cluster.title}{hint}")
        gpu = named
    if gpu.counts is not None and experiment.gpus not in gpu.counts:
        raise ConfigError(f"{where}.gpus: found {experiment.gpus} of {gpu.name}, expected {_counts(cluster, gpu)}")
    return gpu


def _counts(cluster: Cluster, gpu: Gpu) -> str:
    """Word the numbers of GPUs that a job may have."""
    if gpu.instance:
        return "1: a job gets one MIG instance"
    if gpu.whole_node:
        whole = [other for other in cluster.gpus.values() if other.whole_node and other.counts]
        nodes = " or ".join(f"{other.counts[0]} (gpu: {other.name})" for other in whole if other.counts)
        return f"{nodes}: {cluster.title} gives whole nodes of {' and '.join(other.name for other in whole)} only"
    counts = list(gpu.counts or ())
    if len(counts) == counts[-1]:
        return f"1 to {counts[-1]}: a run's job has one node, and one of {cluster.title} has {counts[-1]}"
    return f"{' or '.join(map(str, counts))}: what {cluster.title} takes"


def _times(each: int | None, count: int) -> int | None:
    return each * count if each is not None else None


def _memory_of(gpu: Gpu | None, count: int) -> int | None:
    if gpu is None or gpu.memory is None:
        return None
    # What a site recommends is rounded: on Béluga four times 47 G are more than a node has.
    return min(gpu.memory * count, gpu.node_memory or gpu.memory * count)
