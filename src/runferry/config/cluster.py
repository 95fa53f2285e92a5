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

from runferry.config.gpus import Gpu, GpuOption, Tier, gpus_of, tiers
from runferry.errors import ConfigError
from runferry.system.text import mebibytes, minutes, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL = "local"
"""The name of the cluster that is none: this machine."""


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
class Placement:
    """The partition and the quality of service that jobs of a kind name."""

    partition: str | None = None
    """None leaves it to the scheduler."""
    qos: tuple[Tier, ...] = ()
    """The shortest first; none leaves it to the scheduler, or to the user."""
    qos_prefix: str | None = None
    """How those begin of which the user has to name one."""


@dataclass(frozen=True)
class SyncPlaces:
    """The places where a sync can run: "login", "job" or "remote" (the user's own machine), the best first."""

    where: tuple[str, ...]
    partition: str | None
    """Of a sync's job; its nodes reach the internet. None where none is established."""


@dataclass(frozen=True)
class Jobs:
    """The limits of a job, in minutes, and of a user's jobs."""

    longest_cpu: int | None
    longest_gpu: int | None
    shortest: int | None
    advised: int | None
    """How long a job should last at least; a shorter one is taken all the same."""
    cap: int | None
    """Jobs of one user, queued and running."""
    memory_flag: bool
    """Whether sbatch accepts --mem."""
    cpu: Placement
    """Of jobs without GPUs."""
    gpu: Placement
    """Of jobs with GPUs, where their model says nothing else."""
    tasks_per_node: bool
    """Whether a request says how many tasks each node has."""
    tiers: tuple[int, ...] = ()
    """The time limits, in minutes, by which the site sorts jobs: a shorter job finds more nodes."""

    def longest(self, gpus: int) -> int | None:
        """Return the time limit of the longest job with that many GPUs, in minutes; None is not established."""
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
    account_suffix: str | None
    """What the account's name ends with that pays for a job without GPUs; a GPU model has its own."""
    wandb: WandbFacts
    gpu_option: GpuOption | None
    """None where GPUs are not asked for."""
    gpus: Mapping[str, Gpu]
    """Models, then MIG instances, by name."""
    default_gpu: str | None
    """The model of a request that names none."""
    any_gpu: bool | None
    """Whether the site takes a request that leaves the model to the scheduler; None is not established."""
    jobs: Jobs | None
    """None where nothing limits a job."""
    node_local: str | None
    """The node-local disk, in words."""
    scratch_purge_days: int | None
    """After which files on scratch are purged."""
    scratch_purge_list: str | None
    """The site's own list of what is about to be purged, with `<user>` in it."""
    scratch_purge_note: str | None
    """What else is to be known of the purge, as a half sentence."""
    closed_folders: tuple[ClosedFolder, ...]
    sync: SyncPlaces
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

    >>> narval = find_cluster("narval")
    >>> narval.title, narval.wandb.availability
    ('Narval', 'limited')
    >>> narval.gpu_names["a100"].counts  # on a node
    (1, 2, 3, 4)
    >>> find_cluster("narwal")
    Traceback (most recent call last):
        ...
    runferry.errors.ConfigError: config: cluster: found 'narwal', expected one of ... (did you mean narval?)

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
        account_suffix=given["account"].get("suffix"),
        wandb=WandbFacts(**given["wandb"]),
        gpu_option=gpu.get("request"),
        gpus=gpus_of(gpu),
        default_gpu=gpu.get("default"),
        any_gpu=gpu.get("any"),
        jobs=_jobs(jobs) if jobs else None,
        node_local=given["node_local"],
        scratch_purge_days=given["scratch_purge_days"],
        scratch_purge_list=given.get("scratch_purge_list"),
        scratch_purge_note=given.get("scratch_purge_note"),
        closed_folders=tuple(ClosedFolder(**section) for section in given["submit"]),
        sync=SyncPlaces(tuple(given["sync"]["where"]), given["sync"]["partition"]),
        largest_node=Node(node["cores"], mebibytes(node["memory"])) if (node := given.get("largest_node")) else None,
        bundle=Bundle(one["cores"], one["memory"] * 1024) if (one := gpu.get("bundle")) else None,
    )


def _jobs(given: dict[str, Any]) -> Jobs:
    longest = given["longest"]
    return Jobs(
        longest_cpu=_minutes(longest["cpu"]),
        longest_gpu=_minutes(longest["gpu"]),
        shortest=_minutes(given["shortest"]),
        advised=_minutes(given["advised"]),
        cap=given["cap"],
        memory_flag=given["memory_flag"],
        tiers=tuple(minutes(time) for time in given.get("tiers", ())),
        cpu=_placement(given.get("cpu") or {}),
        gpu=_placement(given.get("gpu") or {}),
        tasks_per_node=given.get("tasks_per_node", False),
    )


def _placement(given: dict[str, Any]) -> Placement:
    return Placement(given.get("partition"), tiers(given.get("qos")), given.get("qos_prefix"))


def _minutes(given: str | None) -> int | None:
    return minutes(given) if given else None
