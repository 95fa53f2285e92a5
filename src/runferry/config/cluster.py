"""Read the facts of a cluster, `clusters/<name>.yaml`, into typed records.

`clusters/schema.yaml` says what a file may hold; the tests hold each against it, so that nothing has to be checked
here, in every job. None is "not established": nothing is checked against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, cast

import yaml

from runferry.errors import ConfigError
from runferry.system.text import mebibytes, minutes, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL = "local"
"""The name of the cluster that is none: this machine."""

GpuOption = Literal["gpus", "gres", "gpus-per-node", "gpus-per-node-untyped"]
"""The option of sbatch that takes a GPU request; the last takes a number only."""


@dataclass(frozen=True)
class WandbFacts:
    """The access to W&B from a compute node."""

    availability: Literal["yes", "limited", "no"]
    """`limited`: for eligible groups only, and metrics only, because files cannot reach their storage."""
    reason: str
    """Why, as a half sentence."""
    module: str | None
    """The environment module that an online job loads."""


@dataclass(frozen=True)
class Gpu:
    """A GPU model, or a MIG instance of one."""

    name: str
    """What a config says."""
    request: str
    """What Slurm is told."""
    aliases: tuple[str, ...]
    """Other names that a config may say."""
    instance: bool
    """Whether it is a MIG instance, of which a job gets one."""
    counts: tuple[int, ...] | None
    """The numbers of them that one job can have on one node."""
    whole_node: bool
    """Whether the site gives whole nodes of it only."""
    cores: int | None
    """Recommended for each."""
    memory: int | None
    """Recommended for each, in MiB."""
    node_memory: int | None
    """Of a whole node, in MiB."""
    rgu: float | None
    """Reference GPU units of one."""
    node_cores: int | None = None
    """Of a whole node."""
    longest: int | None = None
    """The longest job with it, in minutes, where it is shorter than that of others."""
    partition: str | None = None
    """The partition that alone has it."""


@dataclass(frozen=True)
class Node:
    """The cores and memory, in MiB, of the largest node without GPUs; each may be another node's."""

    cores: int
    memory: int


@dataclass(frozen=True)
class Bundle:
    """The cores and memory, in MiB, that the site bills as one reference GPU unit."""

    cores: float
    memory: float


@dataclass(frozen=True)
class Jobs:
    """The limits of a job, in minutes, and of a user's jobs."""

    longest_cpu: int
    longest_gpu: int
    shortest: int | None
    advised: int | None
    """How long a job should last at least; a shorter one is taken all the same."""
    cap: int | None
    """Jobs of one user, queued and running."""
    memory_flag: bool
    """Whether sbatch accepts --mem."""
    tiers: tuple[int, ...] = ()
    """The time limits, in minutes, by which the site sorts jobs: a shorter job finds more nodes."""

    def longest(self, gpus: int) -> int:
        """Return the time limit of the longest job with that many GPUs, in minutes."""
        return self.longest_gpu if gpus else self.longest_cpu


@dataclass(frozen=True)
class Retired:
    """The date since which a cluster is gone, and the profile to use instead."""

    since: str
    successor: str
    data: str | None


@dataclass(frozen=True)
class ClosedFolder:
    """A folder that jobs cannot be submitted from, as a path or an environment variable, and the reason."""

    folder: str
    reason: str


@dataclass(frozen=True)
class Cluster:
    """The facts of one cluster."""

    name: str
    title: str
    slurm: bool
    """False where everything runs on this machine."""
    login_host: str | None
    retired: Retired | None
    wheelhouse: bool
    """Whether pip finds the site's own wheels and must use nothing else (`--no-index`)."""
    account_required: bool
    account_prefixes: tuple[str, ...]
    wandb: WandbFacts
    gpu_option: GpuOption | None
    """None where GPUs are not asked for."""
    gpus: Mapping[str, Gpu]
    """Models, then MIG instances, by name."""
    default_gpu: str | None
    """The model of a request that names none."""
    jobs: Jobs | None
    """None where nothing limits a job."""
    node_local: str | None
    """The node-local disk, in words."""
    scratch_purge_days: int | None
    """After which files on scratch are purged."""
    closed_folders: tuple[ClosedFolder, ...]
    sync_partition: str | None = None
    """A partition whose nodes reach the internet; None where none is established."""
    largest_node: Node | None = None
    """Without GPUs."""
    bundle: Bundle | None = None

    @cached_property
    def gpu_names(self) -> Mapping[str, Gpu]:
        """Return the GPUs by every name that a config may use, in lower case."""
        named = {alias.lower(): gpu for gpu in self.gpus.values() for alias in gpu.aliases}
        return named | {name.lower(): gpu for name, gpu in self.gpus.items()}


def cluster_names() -> list[str]:
    """List the clusters that runferry knows, in alphabetical order."""
    found = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml") and name != "schema.yaml")


def find_cluster(name: str | None) -> Cluster:
    """Return the facts of a cluster by its name, reading its file only.

    Raises
    ------
    ConfigError
        When there is no name, or it is none that runferry knows.
    """
    known = cluster_names()
    if name is None:
        message = f"config: cluster: found nothing, and no $CC_CLUSTER; expected one of {', '.join(known)}"
        raise ConfigError(f"{message}, or a profile: --profile profiles/local")
    if name not in known:
        message = f"config: cluster: found {name!r}, expected one of {', '.join(known)}{suggest(name, known)}"
        raise ConfigError(message)
    return _cluster(facts(name))


def facts(name: str) -> dict[str, Any]:
    """Read the file of one of `cluster_names()` unchanged, with its sources."""
    # libyaml's loader where there is one: a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return cast("dict[str, Any]", yaml.load((_folder() / f"{name}.yaml").read_text(encoding="utf-8"), loader))


def _folder() -> Any:
    return files("runferry") / "clusters"


def _cluster(given: dict[str, Any]) -> Cluster:
    login: dict[str, Any] = given["login"] or {}
    gpu: dict[str, Any] = given["gpu"] or {}
    jobs, retired = given["jobs"], given["retired"]
    return Cluster(
        name=given["name"],
        title=given["title"],
        slurm=given["scheduler"] == "slurm",
        login_host=login.get("gpu_host", login.get("host")),
        retired=Retired(retired["since"], retired["successor"], retired.get("data")) if retired else None,
        wheelhouse=given["wheelhouse"],
        account_required=given["account"]["required"],
        account_prefixes=tuple(given["account"]["prefixes"]),
        wandb=WandbFacts(**given["wandb"]),
        gpu_option=gpu.get("request"),
        gpus={
            **{name: _model(name, section) for name, section in gpu.get("models", {}).items()},
            **{name: _instance(name, section) for name, section in gpu.get("instances", {}).items()},
        },
        default_gpu=gpu.get("default"),
        jobs=_jobs(jobs) if jobs else None,
        node_local=given["node_local"],
        scratch_purge_days=given["scratch_purge_days"],
        closed_folders=tuple(ClosedFolder(**section) for section in given["submit"]),
        sync_partition=given.get("sync", {"partition": None})["partition"],
        largest_node=Node(node["cores"], mebibytes(node["memory"])) if (node := given.get("largest_node")) else None,
        bundle=Bundle(one["cores"], one["memory"] * 1024) if (one := gpu.get("bundle")) else None,
    )


def _model(name: str, given: dict[str, Any]) -> Gpu:
    per_node = given["per_node"]
    if given["whole_node"]:
        counts = (per_node,)
    else:
        counts = tuple(given.get("counts") or range(1, per_node + 1)) if per_node else None
    return Gpu(
        name=name,
        request=name,
        aliases=tuple(given.get("also", ())),
        instance=False,
        counts=counts,
        whole_node=given["whole_node"],
        cores=given["cores"],
        memory=_memory(given["memory"]),
        node_memory=_memory(given.get("node_memory")),
        rgu=given["rgu"],
        node_cores=given.get("node_cores"),
        longest=minutes(given["longest"]) if "longest" in given else None,
        partition=given.get("partition"),
    )


def _instance(name: str, given: dict[str, Any]) -> Gpu:
    request = given.get("request", name)
    return Gpu(
        name=name,
        request=request,
        aliases=(request, *given.get("also", ())),
        instance=True,
        counts=(1,),
        whole_node=False,
        cores=given["cores"],
        memory=_memory(given["memory"]),
        node_memory=None,
        rgu=given["rgu"],
    )


def _jobs(given: dict[str, Any]) -> Jobs:
    return Jobs(
        longest_cpu=minutes(given["longest"]["cpu"]),
        longest_gpu=minutes(given["longest"]["gpu"]),
        shortest=minutes(given["shortest"]) if given["shortest"] else None,
        advised=minutes(given["advised"]) if given["advised"] else None,
        cap=given["cap"],
        memory_flag=given["memory_flag"],
        tiers=tuple(minutes(time) for time in given.get("tiers", ())),
    )


def _memory(given: str | None) -> int | None:
    return mebibytes(given) if given else None
