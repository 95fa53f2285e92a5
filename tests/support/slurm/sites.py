"""Which partitions, qualities of service and accounts the test cluster has: its own, or those of a site's facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.slurm.shape import DEFAULT, Node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Partition:
    """A partition: its longest job, as Slurm writes times, and its nodes (none are all)."""

    limit: str
    nodes: Sequence[str] = ()
    options: str = ""
    """What else slurm.conf says of it."""


@dataclass(frozen=True)
class Site:
    """A cluster's partitions, qualities of service and accounts.

    Attributes
    ----------
    nodes
        Of a cluster that is started without others.
    partitions
        By name.
    default_partition
        That of a job which names none.
    qos
        Name -> its longest job, as Slurm writes times.
    accounts
        Name -> the qualities of service that it may use, its default first; Slurm's own `normal` where there are none.
    """

    nodes: Sequence[Node]
    partitions: Mapping[str, Partition]
    default_partition: str
    accounts: Mapping[str, Sequence[str]]
    qos: Mapping[str, str] = field(default_factory=dict)


DEFAULT_PARTITION, URGENT_PARTITION = "standard", "urgent"

# As on the Alliance: tiers by time limit. A user names none of them; Slurm's default takes what names none.
# (A partition called "default" cannot be: the name is Slurm's own word for a template.)
OURS = Site(
    DEFAULT,
    {
        DEFAULT_PARTITION: Partition("7-00:00:00"),
        "base_b1": Partition("03:00:00"),
        "base_b2": Partition("12:00:00"),
        "base_b3": Partition("1-00:00:00"),
        "base_b4": Partition("3-00:00:00"),
        "base_b5": Partition("7-00:00:00"),
        # Its jobs preempt those of the others, which Slurm runs again unless they were submitted with --no-requeue.
        URGENT_PARTITION: Partition("01:00:00", options="PriorityTier=10 PreemptMode=OFF"),
    },
    DEFAULT_PARTITION,
    {"def-test_cpu": (), "def-test_gpu": ()},
)

# The two below as clusters/leonardo.yaml and clusters/jeanzay.yaml have it; a node of each kind in place of thousands.
LEONARDO = Site(
    (
        Node("lb1", 32, 494000, {"a100": 4}),
        Node("lb2", 32, 494000, {"a100": 4}),
        Node("ld1", 112, 494000),
        Node("ls1", 4, 30800),
    ),
    {
        "lrd_all_serial": Partition("04:00:00", ("ls1",)),
        "dcgp_usr_prod": Partition("1-00:00:00", ("ld1",)),
        "boost_usr_prod": Partition("4-00:00:00", ("lb1", "lb2"), "AllowQos=normal,boost_qos_dbg,boost_qos_lprod"),
    },
    "lrd_all_serial",
    {"lab": ("normal", "boost_qos_dbg", "boost_qos_lprod")},
    {"boost_qos_dbg": "00:30:00", "boost_qos_lprod": "4-00:00:00"},
)

JEAN_ZAY = Site(
    # Its GPUs have no type: a constraint names them.
    (
        Node("jv1", 40, 180000, {"": 4}, features="v100-16g"),
        Node("jv2", 40, 180000, {"": 4}, features="v100-32g"),
        Node("ja1", 64, 480000, {"": 8}, features="a100"),
        Node("jh1", 96, 500000, {"": 4}, features="h100"),
        Node("jc1", 40, 180000),
    ),
    {
        # A job that names no partition may run on any node that has what it asks for.
        "all": Partition("100:00:00"),
        "prepost": Partition("20:00:00", ("jc1",)),
    },
    "all",
    {
        "lab@cpu": ("qos_cpu-t3", "qos_cpu-t4", "qos_cpu-dev"),
        "lab@v100": ("qos_gpu-t3", "qos_gpu-t4", "qos_gpu-dev"),
        "lab@a100": ("qos_gpu_a100-t3", "qos_gpu_a100-dev"),
        "lab@h100": ("qos_gpu_h100-t3", "qos_gpu_h100-t4", "qos_gpu_h100-dev"),
    },
    {
        f"{kind}-{name}": limit
        for kind in ("qos_cpu", "qos_gpu", "qos_gpu_a100", "qos_gpu_h100")
        for name, limit in {"dev": "02:00:00", "t3": "20:00:00", "t4": "100:00:00"}.items()
        if (kind, name) != ("qos_gpu_a100", "t4")
    },
)

SITES = {"ours": OURS, "leonardo": LEONARDO, "jeanzay": JEAN_ZAY}
