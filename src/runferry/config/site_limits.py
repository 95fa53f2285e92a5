"""Check requests against the limits of a cluster, before anything is submitted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.system.text import memory_in_words, time_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.config.job_request import Request


def check_mode(wandb: Mapping[str, Any], cluster: Cluster) -> None:
    """Refuse `wandb.mode: online` on a cluster that does not allow it, with the reason that its page states.

    Parameters
    ----------
    wandb
        The config's section: `mode`, `eligible`.
    cluster
        Where jobs run.

    Raises
    ------
    ConfigError
        On a cluster without internet, and on a limited one unless the user is eligible.
    """
    if wandb["mode"] != "online" or cluster.wandb.availability == "yes":
        return
    found = f"config: wandb.mode: found online, expected offline on {cluster.title}, because {cluster.wandb.reason}"
    if cluster.wandb.availability == "no":
        raise ConfigError(found)
    if not wandb["eligible"]:
        raise ConfigError(f"{found}; if your group is eligible, set wandb.eligible: true")


def wandb_of_runs(wandb: Mapping[str, Any], cluster: Cluster) -> dict[str, Any]:
    """Return the W&B section of a run's record: the config's, with what an online job has to do here."""
    record = {key: value for key, value in wandb.items() if key != "eligible"}
    if wandb["mode"] == "online" and cluster.wandb.availability == "limited":
        record["metrics_only"] = True
    if wandb["mode"] == "online" and cluster.wandb.module:
        record["modules"] = [cluster.wandb.module]
    return record


def check_times(experiments: Iterable[Experiment], cluster: Cluster) -> None:
    """Refuse a time that is over the cluster's limit, or under its shortest.

    Raises
    ------
    ConfigError
        For the first experiment that has one.
    """
    if cluster.jobs is None:
        return
    for experiment in experiments:
        kind = "GPU" if experiment.gpus else "CPU"
        longest = cluster.jobs.longest(experiment.gpus)
        where = f"config: experiments.{experiment.name}.resources.time: found {time_in_words(experiment.time)}"
        if experiment.time > longest:
            limit = f"expected {time_in_words(longest)} at most, the longest {kind} job of {cluster.title}"
            raise ConfigError(f"{where}, {limit}; let the training save checkpoints and take less at a time")
        if cluster.jobs.shortest and experiment.time < cluster.jobs.shortest:
            shortest = time_in_words(cluster.jobs.shortest)
            raise ConfigError(f"{where}, expected {shortest} at least, the shortest job of {cluster.title}")


def check_node(experiment: Experiment, request: Request, cluster: Cluster) -> None:
    """Refuse cores or memory that no node of the cluster has, and a time that is not given with the GPU model.

    Parameters
    ----------
    experiment, request
        What its fullest job asks for, on each node.
    cluster
        Where it runs; what is not established there is not checked.

    Raises
    ------
    ConfigError
        For the first of them.
    """
    where, gpu, node = f"config: experiments.{experiment.name}.resources", request.gpu, cluster.largest_node
    kind = f"a node of {gpu.name}" if gpu else "the largest node"
    cores, memory = (gpu.node_cores, gpu.node_memory) if gpu else (node.cores, node.memory) if node else (None, None)
    if cores is not None and request.cores > cores:
        found = f"{where}.cores: found {request.cores} for a job"
        raise ConfigError(f"{found}, expected {cores} at most, which {kind} of {cluster.title} has")
    if memory is not None and request.memory is not None and request.memory > memory:
        found = f"{where}.memory: found {memory_in_words(request.memory)} for a job"
        raise ConfigError(f"{found}, expected {memory_in_words(memory)} at most, which {kind} of {cluster.title} has")
    if gpu and gpu.longest is not None and request.time > gpu.longest:
        found = f"{where}.time: found {time_in_words(request.time)} with {gpu.name}"
        least = f"expected {time_in_words(gpu.longest)} at most, the longest {gpu.name} job of {cluster.title}"
        raise ConfigError(f"{found}, {least}; let the training save checkpoints, or name another model")


def check_rounds(experiments: Mapping[str, Experiment], requests: Mapping[str, Request]) -> None:
    """Refuse a bayes sweep whose runs ask for less than a node where the site gives whole nodes only.

    Raises
    ------
    ConfigError
        For the first one: its runs do not share jobs.
    """
    for name, experiment in experiments.items():
        if experiment.rounds and requests[name].packing.part_of_node:
            where = f"config: experiments.{name}.resources.gpus"
            message = f"{where}: found {experiment.gpus} for a bayes sweep, whose runs do not share jobs"
            raise ConfigError(f"{message}; expected all GPUs of a node, since this site gives whole nodes only")


def check_cap(jobs: int | None, cluster: Cluster) -> None:
    """Refuse `--jobs` above the number of jobs that the cluster lets a user have.

    A sweep of more runs than that is no reason: Snakemake holds `jobs` at a time and submits the rest as these end.

    Parameters
    ----------
    jobs
        Snakemake's `--jobs`, or None.
    cluster
        Where jobs run.

    Raises
    ------
    ConfigError
        When it is more than the cluster's job cap.
    """
    cap = cluster.jobs.cap if cluster.jobs else None
    if cap is not None and jobs is not None and jobs > cap:
        found = "no limit" if jobs > 10**6 else str(jobs)
        message = f"--jobs: found {found}, expected {cap} at most, the jobs that {cluster.title} lets a user have"
        raise ConfigError(f"{message}; Snakemake submits the others when these have ended")


def check_folder(folder: Path, cluster: Cluster) -> None:
    """Refuse a working folder from which the site takes no jobs.

    Raises
    ------
    ConfigError
        When `folder` is in one of them.
    """
    for closed in cluster.closed_folders:
        name = os.path.expandvars(closed.folder)
        # A variable that is not set stays as it is written.
        if not Path(name).is_absolute():
            continue
        # The home folder may be a link: both what is written and what it leads to count.
        for parent in {Path(name), Path(name).resolve()}:
            if any(path.is_relative_to(parent) for path in (folder.absolute(), folder.resolve())):
                message = f"found the working folder {folder} in {closed.folder}, expected one in $SCRATCH"
                raise ConfigError(f"{message}: {cluster.title} takes no jobs from {closed.folder}, {closed.reason}")
