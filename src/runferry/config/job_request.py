"""Turn an experiment's resources and the cluster's facts into the request of a run's job.

The names and habits of the resources are those of snakemake-executor-plugin-slurm, read in 2.5.3 and 2.8.0.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runferry.config.job_sharing import Packing, make_packing
from runferry.errors import ConfigError
from runferry.system.text import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.config.cluster import Cluster, Gpu
    from runferry.config.experiment import Experiment

LEAST_CORES = 2
"""One for the training process, one for wandb's own (the Alliance's page on W&B)."""
OTHER_MEMORY = 4 * 1024
"""MiB, where neither the user nor the site says anything: what the page's example asks for."""
LEAST_MEMORY = 64
"""MiB. A run that logs one row and does nothing else came to its end with 76 (wandb 0.31.0; 84 with 0.22.3), not with
less: `benchmarks/job_memory.py --least`, Slurm 22.05 with control groups, 2026-11."""


SLURM_OPTIONS = ("partition", "constraint", "qos", "reservation", "exclude", "mail")
"""Keys of an experiment's `resources` that are Slurm's options of that name."""
_RESOURCES_OF_PLUGIN = {"partition": "slurm_partition", "constraint": "constraint", "qos": "qos"}


@dataclass(frozen=True)
class Request:
    """The request of an experiment's job; cores, memory and GPUs are those of each node."""

    cores: int
    memory: int | None
    """In MiB; None where the site refuses to be told."""
    time: int
    """In minutes."""
    gpu: Gpu | None
    gpus: int
    """On each node."""
    tasks: int = 1
    """On the node, which share its cores, memory and GPUs."""
    packing: Packing = field(default_factory=Packing)
    """How the experiment's runs share jobs."""
    resources: Mapping[str, int | str] = field(default_factory=dict[str, "int | str"])
    """For Snakemake; what is not in it is not asked for."""

    def paid_by(self, account: str | None) -> Request:
        """Return the request with a Slurm account; unchanged where `account` is None."""
        return replace(self, resources={**self.resources, "slurm_account": account}) if account else self


def make_request(experiment: Experiment, cluster: Cluster, runs: int = 1) -> Request:
    """Return the request of a job for the Slurm plugin, with what the user left to the site filled in.

    Parameters
    ----------
    experiment
        Its `cores`, `memory` and `gpu` may be None.
    cluster
        Where it runs.
    runs
        How many of the experiment's runs share the job.

    Raises
    ------
    ConfigError
        When it is something that the cluster does not have: a GPU model, a MIG instance, a number of GPUs, nodes; or
        less memory than any run needs.
    """
    if experiment.nodes > 1 and not cluster.slurm:
        where = f"config: experiments.{experiment.name}.resources.nodes"
        raise ConfigError(f"{where}: found {experiment.nodes}, expected 1 on {cluster.title}, which is one node")
    _check_tasks(experiment)
    _check_memory(experiment, cluster)
    gpu = _gpu(experiment, cluster)
    packing = make_packing(experiment, cluster, gpu)
    if gpu:
        _check_count(experiment, cluster, gpu, packing)
    at_once = min(runs, packing.side_by_side)
    gpus = gpu.counts[0] if gpu and gpu.whole_node and gpu.counts else packing.gpus(experiment.gpus, at_once)
    cores, memory = _cores(experiment, cluster, gpu, gpus, at_once), _memory(experiment, gpu, gpus, at_once)
    said = memory if cluster.jobs is None or cluster.jobs.memory_flag else None
    time = _time(experiment, cluster, packing.rounds(runs))
    # Snakemake wants a number for mem_mb; the plugin does not send 0.
    resources: dict[str, Any] = {"mem_mb": said or 0, "runtime": time}
    if cluster.slurm:
        resources["nodes"] = experiment.nodes
        if gpu:
            resources |= _gpu_resources(cluster, gpu, gpus, experiment.nodes)
        if experiment.nodes > 1 and not {"gpu", "gres"} & set(resources):
            # Else the plugin asks for one task, and Slurm then gives one node.
            resources["tasks"] = experiment.nodes
        if experiment.tasks > 1:
            resources |= _task_resources(experiment.tasks, cores, resources)
        resources |= _slurm_resources(experiment.slurm, gpu, str(resources.get("slurm_extra", "")))
    return Request(cores, said, time, gpu, gpus, experiment.tasks, packing, resources)


def _check_tasks(experiment: Experiment) -> None:
    """Refuse tasks that cannot have equal parts of their run's node."""
    where, tasks = f"config: experiments.{experiment.name}.resources", experiment.tasks
    if tasks > 1 and experiment.nodes > 1:
        message = f"{where}.tasks: found {tasks} with nodes: {experiment.nodes}, expected 1"
        raise ConfigError(f"{message}: on several nodes the command runs once on each, and starts its own (torchrun)")
    if experiment.cores is not None and experiment.cores % tasks:
        message = f"{where}.cores: found {experiment.cores} with tasks: {tasks}, expected a multiple of {tasks}"
        raise ConfigError(f"{message}: the cores of all tasks together, each with as many")
    each = experiment.gpus_per_task
    if each is not None and each * tasks != experiment.gpus:
        message = f"{where}.gpus_per_task: found {each} with gpus: {experiment.gpus} and tasks: {tasks}"
        raise ConfigError(f"{message}, expected gpus: {each * tasks}, the GPUs of all tasks together")


def _task_resources(tasks: int, cores: int, others: Mapping[str, Any]) -> dict[str, int | str]:
    """Return what asks for several tasks on one node, beside the other resources of a job."""
    said: dict[str, int | str] = {"cpus_per_task": cores // tasks, "tasks": tasks}
    if {"gpu", "gres"} & set(others):
        # There the plugin does not pass `tasks`, and lets this pass.
        said["slurm_extra"] = f"--ntasks-per-node={tasks}"
    return said


def _slurm_resources(options: Mapping[str, str], gpu: Gpu | None, extra: str) -> dict[str, str]:
    """Return what passes the user's options of Slurm's; where the plugin has no resource, behind `extra`."""
    given = {"partition": gpu.partition} if gpu and gpu.partition else {}
    given |= options
    words = [extra] if extra else []
    words += [f"--{key}={shlex.quote(given[key])}" for key in ("reservation", "exclude") if key in given]
    if "mail" in given:
        words += [f"--mail-user={shlex.quote(given['mail'])}", "--mail-type=END,FAIL"]
    said = {_RESOURCES_OF_PLUGIN[key]: value for key, value in given.items() if key in _RESOURCES_OF_PLUGIN}
    return {**said, "slurm_extra": " ".join(words)} if words else said


def _time(experiment: Experiment, cluster: Cluster, rounds: int) -> int:
    """Return the time of a job, in minutes; between two runs there is one for the end of the first."""
    time = experiment.time * rounds + rounds - 1
    # A time over the longest, of one run, is refused elsewhere, with its reason.
    return min(time, max(experiment.time, cluster.jobs.longest(experiment.gpus))) if cluster.jobs else time


def _cores(experiment: Experiment, cluster: Cluster, gpu: Gpu | None, gpus: int, at_once: int) -> int:
    """Return the cores of a job that has `gpus` GPUs and `at_once` runs at a time."""
    recommended = gpu.cores if gpu else None
    least = LEAST_CORES if cluster.slurm else 1
    if experiment.cores is None:
        cores = max(least * at_once, _times(recommended, gpus) or LEAST_CORES * at_once)
        # Each task has as many; where they do not come out even, a core is left to nobody.
        return max(1, cores // experiment.tasks) * experiment.tasks
    cores = max(least, experiment.cores) * at_once
    # More than the node has would wait for ever, and it is divided in any case.
    return min(cores, recommended * gpus) if recommended and gpu and gpu.whole_node and at_once > 1 else cores


def _memory(experiment: Experiment, gpu: Gpu | None, gpus: int, at_once: int) -> int:
    """Return the memory of a job, in MiB, that has `gpus` GPUs and `at_once` runs at a time."""
    if experiment.memory is None:
        return _memory_of(gpu, gpus) or OTHER_MEMORY * at_once
    memory = experiment.memory * at_once
    return min(memory, gpu.node_memory) if gpu and gpu.node_memory and at_once > 1 else memory


def _check_memory(experiment: Experiment, cluster: Cluster) -> None:
    """Refuse memory with which no run would come to its end, where Slurm limits it."""
    limited = cluster.slurm and (cluster.jobs is None or cluster.jobs.memory_flag)
    if limited and experiment.memory is not None and experiment.memory < LEAST_MEMORY:
        where = f"config: experiments.{experiment.name}.resources.memory: found {experiment.memory}M"
        needed = "which the launcher, wandb's process and a Python that imports wandb need before anything is trained"
        raise ConfigError(f"{where}, expected {LEAST_MEMORY}M at least, {needed}")


def _gpu_resources(cluster: Cluster, gpu: Gpu, count: int, nodes: int) -> dict[str, int | str]:
    # tasks_per_gpu: plugin 2.5.3 adds --ntasks-per-gpu=1 to each request with `gpu` or `gres`, so that two GPUs are two
    # tasks with all the cores each; 0 keeps it from that in every version, and Slurm's own default is one task.
    match cluster.gpu_option:
        case "gpus" if nodes > 1:
            # --gpus is the number of all nodes together, which Slurm may divide as it likes.
            return {"slurm_extra": f"--gpus-per-node={gpu.request}:{count}"}
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
    return gpu


def _check_count(experiment: Experiment, cluster: Cluster, gpu: Gpu, packing: Packing) -> None:
    """Refuse a number of GPUs that no job can have, nor a run beside others that fill the node with it."""
    asked, counts = experiment.gpus, gpu.counts
    if counts is None or asked in counts:
        return
    expected = _counts(cluster, gpu)
    if gpu.whole_node and experiment.nodes == experiment.tasks == 1:
        parts = [part for part in range(1, counts[0]) if counts[0] % part == 0]
        if packing.side_by_side > 1 and asked in parts:
            return
        shared = " or ".join(map(str, parts))
        switched_off = asked in parts
        how = "where packing.side_by_side is not 1" if switched_off else "beside other runs"
        expected = f"{expected}, or {shared} of {gpu.name} {how}"
    where = f"config: experiments.{experiment.name}.resources.gpus"
    raise ConfigError(f"{where}: found {asked} of {gpu.name}, expected {expected}")


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
