"""Define the GPUs of a cluster, and choose one of them by its memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runferry.system.text import mebibytes, minutes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANY = "any"
"""What a config says for a GPU of whatever model."""

GpuOption = Literal["gpus", "gres", "gres-untyped", "gpus-per-node", "gpus-per-node-untyped"]
"""The option of sbatch that takes a GPU request; an untyped one takes a number only."""


@dataclass(frozen=True)
class Tier:
    """A quality of service, and the longest job that it takes, in minutes."""

    name: str
    longest: int


@dataclass(frozen=True)
class Gpu:
    """A GPU model, or a MIG instance of one."""

    name: str
    """What a config says."""
    request: str
    """What Slurm is told; empty where it is told a number only."""
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
    own_memory: int | None = None
    """The GPU's own, in MiB."""
    constraint: str | None = None
    """The feature of its nodes that a request names."""
    account_suffix: str | None = None
    """What the account's name ends with that pays for it."""
    qos: tuple[Tier, ...] = ()
    """The shortest first; none where a request names none."""


def gpus_of(given: Mapping[str, Any]) -> dict[str, Gpu]:
    """Return models, then MIG instances, by name, from the section `gpu` of a cluster's file."""
    return {
        **{name: _model(name, section) for name, section in given.get("models", {}).items()},
        **{name: _instance(name, section) for name, section in given.get("instances", {}).items()},
    }


def tiers(given: Iterable[Mapping[str, str]] | None) -> tuple[Tier, ...]:
    """Return the qualities of service that a cluster's file lists, the shortest first."""
    return tuple(Tier(one["name"], minutes(one["longest"])) for one in given or ())


def any_of(gpus: Iterable[Gpu]) -> Gpu:
    """Return the request for a GPU of whatever model: cores and memory are the least that a model's share is."""
    models = [gpu for gpu in gpus if not gpu.instance]
    counts = [gpu.counts for gpu in models if gpu.counts]
    cores, memory = [gpu.cores for gpu in models if gpu.cores], [gpu.memory for gpu in models if gpu.memory]
    return Gpu(
        name=ANY,
        request="",
        aliases=(),
        instance=False,
        counts=max(counts, key=len) if len(counts) == len(models) else None,
        whole_node=False,
        cores=min(cores, default=None),
        memory=min(memory, default=None),
        node_memory=None,
        rgu=None,
    )


def smallest_with(memory: int, gpus: Iterable[Gpu], count: int) -> Gpu | None:
    """Return the GPU with the least memory of its own that has so much; None where none is known to have it.

    Of two alike, the one with fewer reference GPU units, then the one that is listed first.

    Parameters
    ----------
    memory
        In MiB.
    count
        How many a job asks for on a node: one of a MIG instance at most.
    """
    fitting = [
        gpu
        for gpu in gpus
        if gpu.own_memory is not None and gpu.own_memory >= memory and (count == 1 or not gpu.instance)
    ]
    return min(fitting, key=lambda gpu: (gpu.own_memory, gpu.rgu or 0), default=None)


def mebibytes_or_none(given: str | None) -> int | None:
    """Return an amount of memory of a cluster's file in MiB; None where it is not established."""
    return mebibytes(given) if given else None


def _model(name: str, given: Mapping[str, Any]) -> Gpu:
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
        memory=mebibytes_or_none(given["memory"]),
        node_memory=mebibytes_or_none(given.get("node_memory")),
        rgu=given["rgu"],
        node_cores=given.get("node_cores"),
        longest=minutes(given["longest"]) if "longest" in given else None,
        partition=given.get("partition"),
        own_memory=mebibytes_or_none(given.get("gpu_memory")),
        constraint=given.get("constraint"),
        account_suffix=given.get("account_suffix"),
        qos=tiers(given.get("qos")),
    )


def _instance(name: str, given: Mapping[str, Any]) -> Gpu:
    request = given.get("request", name)
    return Gpu(
        name=name,
        request=request,
        aliases=(request, *given.get("also", ())),
        instance=True,
        counts=(1,),
        whole_node=False,
        cores=given["cores"],
        memory=mebibytes_or_none(given["memory"]),
        node_memory=None,
        rgu=given["rgu"],
        own_memory=mebibytes_or_none(given.get("gpu_memory")),
    )
