"""Ask Slurm what a site has: nodes, partitions, qualities of service, accounts."""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runferry.doctor.answer import NoAnswerError, answer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

MODEL = re.compile(r"(?:gh|gb)?[abhlptv]\d{1,3}[sl]?(?:[-_]\d+g)?|mi\d+\w*|rtx\w+", re.IGNORECASE)
"""How the features of nodes are called that name the model of their GPUs."""
NOT_FOR_WORK = re.compile(r"dev|dbg|debug|test|interactive|preempt|urgent|visu|prepost|archive|compil", re.IGNORECASE)
"""Partitions and qualities of service that are for something else than work, by a part of their name."""
NORMAL = "normal"
"""Slurm's own quality of service, of a job that names none."""


@dataclass(frozen=True)
class Nodes:
    """Nodes that are alike, in one partition."""

    partition: str
    count: int
    cores: int
    memory: int
    """In MB, as Slurm counts."""
    gpus: tuple[tuple[str, int], ...]
    """Model, empty where Slurm names none, and how many on a node."""
    features: tuple[str, ...]


@dataclass(frozen=True)
class Partition:
    """A partition of the site."""

    name: str
    default: bool
    longest: int | None
    """In minutes; None is without a limit."""
    whole_nodes: bool
    cpu_nodes: bool
    """Whether it has nodes without GPUs."""


@dataclass
class Seen:
    """What Slurm says of a site.

    Attributes
    ----------
    name
        Slurm's name of the cluster.
    nodes, partitions
        As sinfo and scontrol list them.
    qos
        Name -> its longest job in minutes, None without a limit.
    accounts
        The user's, each with the qualities of service that it may use.
    cap
        The least number of jobs that a limit of the user's lets queue and run.
    failed
        What could not be asked, and why.
    """

    name: str = ""
    nodes: list[Nodes] = field(default_factory=list[Nodes])
    partitions: dict[str, Partition] = field(default_factory=dict[str, Partition])
    qos: dict[str, int | None] = field(default_factory=dict[str, "int | None"])
    accounts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    cap: int | None = None
    failed: list[str] = field(default_factory=list[str])


def look_at_slurm() -> Seen:
    """Ask this Slurm; what does not answer is noted in `failed`, and is no error."""
    seen = Seen()
    for ask in (_settings, _nodes, _partitions, _qualities, _accounts):
        try:
            ask(seen)
        except NoAnswerError as error:
            seen.failed.append(str(error))
    return seen


def minutes_of(limit: str) -> int | None:
    """Read Slurm's [days-]hours:minutes:seconds, or minutes:seconds; None for no limit.

    >>> minutes_of("1-02:00:00"), minutes_of("30:00"), minutes_of("infinite")
    (1560, 30, None)
    """
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):\d+", limit)
    if found is None:
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes


def _settings(seen: Seen) -> None:
    found = re.search(r"^ClusterName\s*=\s*(\S+)", answer_of("scontrol", "show", "config"), re.MULTILINE)
    seen.name = found[1] if found else ""


def _nodes(seen: Seen) -> None:
    # A variable of the user's would hide partitions.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("SINFO_")}
    listed = answer_of("sinfo", "--noheader", "--exact", "--format=%P|%D|%c|%m|%G|%f", variables=variables)
    for line in listed.splitlines():
        fields = [each.strip() for each in line.split("|")]
        if len(fields) != 6:
            continue
        partition, count, cores, memory, gres, features = fields
        gpus = tuple((model, int(number)) for model, number in re.findall(r"gpu:(?:([^:,()]+):)?(\d+)", gres))
        named = tuple(each for each in features.split(",") if each and each != "(null)")
        seen.nodes.append(Nodes(partition.removesuffix("*"), int(count), _number(cores), _number(memory), gpus, named))


def _partitions(seen: Seen) -> None:
    without_gpus = {nodes.partition for nodes in seen.nodes if not nodes.gpus}
    for line in answer_of("scontrol", "show", "partition", "--oneliner").splitlines():
        said = dict(pair.split("=", 1) for pair in line.split() if "=" in pair)
        name = said.get("PartitionName", "")
        if name:
            seen.partitions[name] = Partition(
                name,
                said.get("Default") == "YES",
                minutes_of(said.get("MaxTime", "")),
                said.get("OverSubscribe") == "EXCLUSIVE",
                name in without_gpus,
            )


def _qualities(seen: Seen) -> None:
    listed = answer_of("sacctmgr", "-nP", "show", "qos", "format=name,maxwall,maxsubmitjobsperuser")
    for line in listed.splitlines():
        name, wall, most = [*line.split("|"), "", ""][:3]
        seen.qos[name] = minutes_of(wall)
        _limit(seen, [most] if name == NORMAL else [])


def _accounts(seen: Seen) -> None:
    user = f"user={getpass.getuser()}"
    listed = answer_of("sacctmgr", "-nP", "show", "assoc", user, "format=account,qos,maxsubmitjobs")
    for line in listed.splitlines():
        account, qos, most = [*line.split("|"), "", ""][:3]
        seen.accounts[account] = [name for name in qos.split(",") if name]
        _limit(seen, [most])


def _limit(seen: Seen, said: Iterable[str]) -> None:
    limits = [int(each) for each in said if each.isdigit()]
    seen.cap = min([*limits, *([seen.cap] if seen.cap is not None else [])], default=None)


def _number(text: str) -> int:
    """Read sinfo's number of nodes that are not all alike, as "48+": the least of them."""
    return int(re.match(r"\d*", text)[0] or 0)  # type: ignore[index]
