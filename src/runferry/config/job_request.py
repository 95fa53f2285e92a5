"""Turn an experiment's resources and the cluster's facts into the request of a run's job.

The names and habits of the resources are those of snakemake-executor-plugin-slurm, read in 2.5.3 and 2.8.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runferry.config.gpus import ANY, any_of, smallest_with
from runferry.config.job_sharing import Packing, make_packing
from runferry.config.placement import placement
from runferry.errors import ConfigError
from runferry.system.text import memory_in_words, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.config.gpus import Gpu

LEAST_CORES = 2
"""One for the training process, one for wandb's own (the Alliance's page on W&B)."""
OTHER_MEMORY = 4 * 1024
"""MiB, where neither the user nor the site says anything: what the page's example asks for."""
LEAST_MEMORY = 64
"""MiB. A run that logs one row and does nothing else came to its end with 76 (wandb 0.31.0; 84 with 0.22.3), not with
less: `benchmarks/job_memory.py --least`, Slurm 22.05 with control groups, 2026-11."""


@dataclass(frozen=True)
class Request:
    """The request of an experiment's job; cores, memory and GPUs are those of each node."""

    cores: int
    memory: int | None
    """In MiB; None where the site refuses to be told, or where it is not established and left to the site."""
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
    words: str = ""
    """What the config says of it, where it is one of several."""
    account: str | None = None
    """Which account pays, where the config says so for this one of several."""
    alternatives: tuple[Request, ...] = ()
    """The others, of which the job that starts first trains the run."""

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
    # More than the site gives by itself may be refused, and less would be all that the job has.
    left = gpu is not None and gpu.memory is None and experiment.memory is None
    said = memory if not left and (cluster.jobs is None or cluster.jobs.memory_flag) else None
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
        said_always = cluster.jobs is not None and cluster.jobs.tasks_per_node
        if experiment.tasks > 1 or said_always:
            resources |= _task_resources(experiment.tasks, cores, resources, said_always=said_always)
        resources |= placement(experiment, cluster, gpu, time, str(resources.get("slurm_extra", "")))
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


def _task_resources(tasks: int, cores: int, others: Mapping[str, Any], *, said_always: bool) -> dict[str, int | str]:
    """Return what asks for tasks on each node, beside the other resources of a job."""
    said: dict[str, int | str] = {"cpus_per_task": cores // tasks, "tasks": tasks} if tasks > 1 else {}
    if said_always or {"gpu", "gres"} & set(others):
        # Beside these the plugin does not pass `tasks`, and lets this pass.
        said["slurm_extra"] = " ".join(filter(None, [others.get("slurm_extra"), f"--ntasks-per-node={tasks}"]))
    return said


def _time(experiment: Experiment, cluster: Cluster, rounds: int) -> int:
    """Return the time of a job, in minutes; between two runs there is one for the end of the first."""
    time = experiment.time * rounds + rounds - 1
    longest = cluster.jobs.longest(experiment.gpus) if cluster.jobs else None
    # A time over the longest, of one run, is refused elsewhere, with its reason.
    return time if longest is None else min(time, max(experiment.time, longest))


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
    option = cluster.gpu_option or "gpus"
    model = "" if option.endswith("-untyped") else gpu.request
    request = f"{model}:{count}" if model else str(count)
    match option.removesuffix("-untyped"):
        case "gpus" if nodes == 1:
            return {"gpu": count, **({"gpu_model": model} if model else {}), "tasks_per_gpu": 0}
        case "gres":
            return {"gres": f"gpu:{request}", "tasks_per_gpu": 0}
        # Of several nodes, --gpus is the number of all together, which Slurm may divide as it likes. The plugin has no
        # resource for --gpus-per-node, and lets it pass here.
        case _:
            return {"slurm_extra": f"--gpus-per-node={request}"}


def _gpu(experiment: Experiment, cluster: Cluster) -> Gpu | None:
    where = f"config: experiments.{experiment.name}.resources"
    if experiment.gpus == 0:
        said = {"gpu": experiment.gpu, "gpu_memory": experiment.gpu_memory}
        for key in (key for key, value in said.items() if value is not None):
            found = (
                f"found {experiment.gpu if key == 'gpu' else memory_in_words(experiment.gpu_memory or 0)} with gpus: 0"
            )
            raise ConfigError(f"{where}.{key}: {found}, expected gpus: 1 or more with it, or {key}: null")
        return None
    if not cluster.gpus or cluster.default_gpu is None:
        # This machine: its GPUs are not handed out, whatever their model.
        return None
    if experiment.gpu_memory is not None:
        return _by_memory(experiment, experiment.gpu_memory, cluster, where)
    if experiment.gpu is None:
        return cluster.gpus[cluster.default_gpu]
    if experiment.gpu.lower() == ANY:
        if cluster.any_gpu:
            return any_of(cluster.gpus.values())
        why = f"{cluster.title} refuses a request that names no model"
        if cluster.any_gpu is None:
            why = f"it is not established whether {cluster.title} takes a request that names no model"
        raise ConfigError(f"{where}.gpu: found any, expected one of {', '.join(cluster.gpus)}: {why}")
    named = cluster.gpu_names.get(experiment.gpu.lower())
    if named is None:
        expected = f"expected one of {', '.join(cluster.gpus)}"
        hint = suggest(experiment.gpu, cluster.gpus)
        raise ConfigError(f"{where}.gpu: found {experiment.gpu!r}, {expected} on {cluster.title}{hint}")
    return named


def _by_memory(experiment: Experiment, memory: int, cluster: Cluster, where: str) -> Gpu:
    """Choose the smallest model or MIG instance with that much memory of its own."""
    found = f"{where}.gpu_memory: found {memory_in_words(memory)}"
    if experiment.gpu is not None:
        raise ConfigError(f"{found} with gpu: {experiment.gpu}, expected one of the two; the other is null")
    known = {gpu.name: gpu.own_memory for gpu in cluster.gpus.values() if gpu.own_memory is not None}
    chosen = smallest_with(memory, cluster.gpus.values(), experiment.gpus)
    if chosen is None:
        listed = ", ".join(f"{name} {memory_in_words(own)}" for name, own in known.items())
        have = f"that {experiment.gpus} GPUs of a job of {cluster.title} have each ({listed or 'not established'})"
        raise ConfigError(f"{found}, expected as much {have}; name a model with gpu: instead")
    return chosen


def _check_count(experiment: Experiment, cluster: Cluster, gpu: Gpu, packing: Packing) -> None:
    """Refuse a number of GPUs that no job can have, nor a run beside others that fill the node with it."""
    asked, counts = experiment.gpus, gpu.counts
    if counts is None or asked in counts:
        return
    expected = _counts(cluster, gpu)
    if gpu.whole_node and experiment.nodes == experiment.tasks == 1 and not experiment.any_of:
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
