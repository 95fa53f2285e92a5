"""Which compute nodes the test cluster has: what `bring_up.py --node` says, and what it has when nothing is said."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
_GPU = re.compile(r"[a-z0-9][a-z0-9_.]*")


@dataclass(frozen=True)
class Node:
    """One compute node: what Slurm is told that it has, whatever the machine has.

    Attributes
    ----------
    name
        Slurm's name and the host name inside.
    cpus
        Cores of one thread each.
    memory
        MB.
    gpus
        Model or MIG instance -> how many; fake ones, which Slurm counts and hands out.
    weight
        Slurm takes the node with the lowest weight that fits.
    features
        What a request's constraint may name, with commas between.
    """

    name: str
    cpus: int = 48
    memory: int = 509952
    gpus: dict[str, int] = field(default_factory=dict)
    weight: int = 1
    features: str = ""

    @classmethod
    def parse(cls, text: str) -> Node:
        """Read `name[:cpus[:memory in MB[:model=count,...]]]`.

        Raises
        ------
        ValueError
            The text is not of that form; one line says what was found and expected.
        """
        name, *rest = text.split(":")
        try:
            cpus, memory, gpus = [*rest, *["", "", ""][len(rest) :]]
            node = cls(
                name,
                int(cpus or cls.cpus),
                int(memory or cls.memory),
                {model: int(count) for model, _, count in (gpu.partition("=") for gpu in gpus.split(",") if gpu)},
            )
        except ValueError:
            node = None
        good = node and _NAME.fullmatch(name) and min(node.cpus, node.memory, *node.gpus.values()) > 0
        if node is None or not good or not all(map(_GPU.fullmatch, node.gpus)):
            msg = f"found node {text!r}, expected name[:cpus[:memory in MB[:model=count,...]]], as c1:48:509952:a100=4"
            raise ValueError(msg)
        return node

    def __str__(self) -> str:
        gpus = ",".join(f"{model}={count}" for model, count in self.gpus.items())
        return f"{self.name}:{self.cpus}:{self.memory}:{gpus}"


# Two nodes as Narval's, and one with every model and MIG instance that a site's page names, so that every profile's
# request can be sent to a real scheduler. Its weight keeps jobs away that do not ask for what only it has.
DEFAULT = (
    Node("c1", gpus={"a100": 4, "a100_1g.5gb": 4}),
    Node("c2", gpus={"a100": 4, "h100": 4}),
    Node(
        "c3",
        cpus=128,
        memory=2048000,
        gpus={
            "h100": 8,
            "h200": 8,
            "l40s": 4,
            "v100": 4,
            "v100l": 4,
            "p100": 4,
            "t4": 4,
            "mi300a": 4,
            "a100l": 4,
            "a6000": 4,
            "rtx8000": 4,
            "a100_2g.10gb": 2,
            "a100_3g.20gb": 2,
            "h100_1g.10gb": 2,
            "h100_2g.20gb": 2,
            "h100_3g.40gb": 2,
            "nvidia_h100_80gb_hbm3_1g.10gb": 2,
            "nvidia_h100_80gb_hbm3_2g.20gb": 2,
            "nvidia_h100_80gb_hbm3_3g.40gb": 2,
        },
        weight=100,
    ),
)
