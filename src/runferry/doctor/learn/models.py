"""Find a site's GPU models, and the account and qualities of service of each, in what Slurm says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.doctor.learn.slurm import MODEL, NORMAL, NOT_FOR_WORK

if TYPE_CHECKING:
    from runferry.doctor.learn.slurm import Nodes, Seen

_INSTANCE = re.compile(r"(?P<of>.+?)_?(?P<parts>\d)g\.(?P<memory>\d+)gb")
_PARTS = 7
"""Of which a MIG instance has some."""


@dataclass(frozen=True)
class Model:
    """A GPU model of a site, by the nodes that have it."""

    name: str
    nodes: int
    per_node: int
    cores: int
    """Of a node, as its memory in MB."""
    memory: int
    constraint: str | None
    """The feature that names it, where Slurm has no name for its GPUs."""
    partitions: tuple[str, ...]
    whole_node: bool

    @property
    def typed(self) -> bool:
        """Return whether Slurm knows the model by name."""
        return self.constraint is None


@dataclass(frozen=True)
class Instance:
    """A MIG instance, and its part of the GPU."""

    name: str
    of: str
    parts: int
    memory: int
    """Its own, in GB."""

    def share(self, of_gpu: int) -> int:
        """Return the instance's part of what a whole GPU has; 1 at least."""
        return max(1, of_gpu * self.parts // _PARTS)


def models_of(seen: Seen) -> list[Model]:
    """List the GPU models, the most frequent first; MIG instances are none."""
    groups: dict[tuple[str, int, str | None], list[Nodes]] = {}
    for nodes in seen.nodes:
        for gres, count in nodes.gpus:
            if _INSTANCE.fullmatch(gres):
                continue
            feature = next((each for each in nodes.features if MODEL.fullmatch(each)), None)
            name = gres or feature or "gpu"
            groups.setdefault((name, count, None if gres else feature), []).append(nodes)
    found: dict[str, Model] = {}
    for (name, count, constraint), nodes in groups.items():
        first = min(nodes, key=lambda each: each.memory)
        # A node is listed once for each of its partitions.
        number = max(_count_in(nodes, each.partition) for each in nodes)
        partitions = tuple(dict.fromkeys(each.partition for each in nodes))
        whole = all(seen.partitions[each].whole_nodes for each in partitions if each in seen.partitions)
        made = Model(name, number, count, first.cores, first.memory, constraint, partitions, whole)
        if name not in found or found[name].nodes < number:
            found[name] = made
    return sorted(found.values(), key=lambda model: -model.nodes * model.per_node)


def instances_of(seen: Seen, models: list[Model]) -> list[Instance]:
    """List the MIG instances of GPUs that are among the models, or may be."""
    found: dict[str, Instance] = {}
    for name in (gres for nodes in seen.nodes for gres, _ in nodes.gpus):
        if said := _INSTANCE.fullmatch(name):
            of = next((each.name for each in models if each.name in said["of"]), None)
            if of:
                found[name] = Instance(name, of, int(said["parts"]), int(said["memory"]))
    return list(found.values())


def suffix_for(seen: Seen, kind: str) -> str | None:
    """Return how the account ends that pays for a GPU model or "cpu": `@v100` for `v100-16g`; None without such."""
    ends = {account[account.index("@") :] for account in seen.accounts if "@" in account}
    return max((end for end in ends if kind.startswith(end[1:])), key=len, default=None)


def account_for(seen: Seen, kind: str) -> str | None:
    """Return the account that tests of a GPU model, or of "cpu", name; None where the user has none."""
    end = suffix_for(seen, kind) or ("_cpu" if kind == "cpu" else "_gpu")
    return next((name for name in seen.accounts if name.endswith(end)), next(iter(seen.accounts), None))


def tiers_for(seen: Seen, kind: str) -> list[tuple[str, int]]:
    """List the qualities of service from which a job must choose, the shortest first; none where it need not."""
    account = account_for(seen, kind)
    allowed = seen.accounts.get(account or "", [])
    if NORMAL in allowed:
        return []
    tiers = [(name, limit) for name in allowed if (limit := seen.qos.get(name)) and not NOT_FOR_WORK.search(name)]
    return sorted(tiers, key=lambda tier: tier[1])


def _count_in(nodes: list[Nodes], partition: str) -> int:
    return sum(each.count for each in nodes if each.partition == partition)
