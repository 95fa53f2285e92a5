"""Decide how many runs share a job: side by side on whole nodes, in turn where a job should last longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.config.gpus import Gpu

MOST_RUNS = 1000
"""Of one pack: Linux takes 128 KiB for one argument, and a rule's shell command, which names them all, is one."""


@dataclass(frozen=True)
class Packing:
    """The way in which the runs of an experiment share jobs."""

    side_by_side: int = 1
    """Runs that a job has at a time."""
    one_after_another: int = 1
    """Runs that it has in turn."""
    share_gpu: int = 1
    """Of the runs at a time, those that have one GPU together."""
    part_of_node: bool = False
    """Whether a run needs only a part of what its job must ask for: then it needs a pack, even if alone in it."""

    @property
    def capacity(self) -> int:
        """Return the most runs that one job takes."""
        return min(self.side_by_side * self.one_after_another, MOST_RUNS)

    def gpus(self, each: int, at_once: int) -> int:
        """Return the GPUs of `at_once` runs at a time that have `each`, or share it."""
        return each * -(-at_once // self.share_gpu)

    def rounds(self, runs: int) -> int:
        """Return how many of `runs` runs follow one another in a job; each starts when one before it has ended."""
        return -(-runs // self.side_by_side)


def make_packing(experiment: Experiment, cluster: Cluster, gpu: Gpu | None) -> Packing:
    """Return how the runs of an experiment share jobs: as the user says, else as the cluster's facts suggest.

    Parameters
    ----------
    experiment
        Its `side_by_side` and `one_after_another` may be None.
    cluster
        Where it runs.
    gpu
        The GPU model of its runs, or None.

    Raises
    ------
    ConfigError
        When the user's word does not fit a node, or the longest job.
    """
    where = f"config: experiments.{experiment.name}.packing"
    for found, several, count in (
        (f"nodes: {experiment.nodes}", "nodes", experiment.nodes),
        (f"tasks: {experiment.tasks}", "tasks", experiment.tasks),
        ("any_of", "alternatives", len(experiment.any_of)),
    ):
        if count <= 1:
            continue
        for key, given in _given(experiment).items():
            if given is not None and given > 1:
                message = f"found {given} with resources.{found}, expected 1"
                raise ConfigError(f"{where}.{key}: {message}: a run of several {several} has a job of its own")
        return Packing()
    _check_sharing(experiment, f"{where}.share_gpu")
    return Packing(
        _side_by_side(experiment, cluster, gpu, f"{where}.side_by_side"),
        _one_after_another(experiment, cluster, f"{where}.one_after_another"),
        experiment.share_gpu,
        part_of_node=gpu is not None and gpu.whole_node and gpu.counts is not None and experiment.gpus < gpu.counts[0],
    )


def _given(experiment: Experiment) -> dict[str, int | None]:
    return {
        "side_by_side": experiment.side_by_side,
        "one_after_another": experiment.one_after_another,
        "share_gpu": experiment.share_gpu,
    }


def _check_sharing(experiment: Experiment, where: str) -> None:
    """Refuse to have runs share a GPU that they do not have, or that are fewer."""
    share, at_once = experiment.share_gpu, experiment.side_by_side
    if share == 1:
        return
    if experiment.gpus != 1:
        message = f"{where}: found {share} with resources.gpus: {experiment.gpus}, expected resources.gpus: 1"
        raise ConfigError(f"{message}, the GPU that {share} runs have together")
    if at_once is not None and share > at_once:
        message = f"{where}: found {share} with side_by_side: {at_once}, expected {at_once} at most"
        raise ConfigError(f"{message}, or side_by_side: null for {share} runs at a time")


def _side_by_side(experiment: Experiment, cluster: Cluster, gpu: Gpu | None, where: str) -> int:
    given, share = experiment.side_by_side, experiment.share_gpu
    if given is None:
        if gpu is None or not gpu.whole_node or gpu.counts is None:
            return share
        # Where they do not fill a node they are refused as a request for GPUs: see `runferry.config.job_request`.
        return share * max(1, gpu.counts[0] // experiment.gpus)
    # Those that share one GPU need no more of it than one run.
    if given > share and experiment.gpus:
        if gpu is None:
            found = f"found {given} runs with GPUs, expected {'1' if share == 1 else f'{share} (share_gpu)'}"
            raise ConfigError(f"{where}: {found}: {cluster.title} assigns no GPUs to jobs")
        most = _most(experiment.gpus, gpu)
        if most is not None and -(-given // share) not in most:
            fitting = " or ".join(str(count * share) for count in most)
            what = "one MIG instance" if gpu.instance else f"a node of {gpu.name}"
            found = f"found {given} with gpus: {experiment.gpus}, expected {fitting}"
            raise ConfigError(f"{where}: {found}: a job on {cluster.title} has at most {what}")
    return given


def _most(gpus: int, gpu: Gpu) -> list[int] | None:
    """Return the numbers of runs with `gpus` each that fit into one job; None where that is not established."""
    if gpu.counts is None:
        return None
    if gpu.whole_node:
        return list(range(1, max(1, gpu.counts[0] // gpus) + 1))
    return [count // gpus for count in gpu.counts if count % gpus == 0] or [1]


def _one_after_another(experiment: Experiment, cluster: Cluster, where: str) -> int:
    jobs, given, time = cluster.jobs, experiment.one_after_another, experiment.time
    if jobs is None:
        return given or 1
    longest = jobs.longest(experiment.gpus)
    # A minute between two of them: see `runferry.config.job_request`.
    most = max(1, (longest + 1) // (time + 1)) if longest is not None else None
    if given is None:
        enough = -(-jobs.advised // time) if jobs.advised else 1
        return enough if most is None else min(enough, most)
    if most is not None and given > most:
        found = f"found {given} with resources.time of {time} minutes, expected {most} at most"
        raise ConfigError(f"{where}: {found}, which the longest job of {cluster.title} has time for")
    return given
