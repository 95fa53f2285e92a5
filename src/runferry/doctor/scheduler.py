"""Compare Slurm's version and settings, its partitions and GPUs, with the cluster's facts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.finding import Finding
from runferry.runs.slurm import NO_PARTITION
from runferry.system.text import time_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runferry.config.gpus import Gpu
    from runferry.doctor.site import Site

ABOUT = "Slurm"
SECONDS = 40.0
"""For all of it: a few questions, ten seconds each at most."""

FIRST_LOOK = 40
"""Seconds to the plugin's first look at its jobs, where the profile says nothing (the plugin's own default)."""
LOOKS = 3
"""The plugin takes `squeue` only where a job stays in it for that many of them (read in plugin 2.5.3 and 2.8.0)."""


def scheduler(site: Site) -> Iterator[Finding]:
    """Ask Slurm for its settings, partitions and GPUs, and yield the findings."""
    settings = dict(
        pair for line in answer_of("scontrol", "show", "config").splitlines() if (pair := _setting(line)) is not None
    )
    yield Finding(ABOUT, "version", "info", settings.get("SLURM_VERSION", "not said"))
    yield Finding(ABOUT, "ClusterName", "info", settings.get("ClusterName", "not said"))
    yield _min_job_age(site, settings)
    for name in ("KillWait", "EnforcePartLimits", "MaxArraySize"):
        yield Finding(ABOUT, name, "info", settings.get(name, "not said"))
    # A variable of the user's would hide partitions.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("SINFO_")}
    listed = answer_of("sinfo", "--noheader", "--format=%P|%l|%c|%m|%G", variables=variables).splitlines()
    partitions = [fields for line in listed if len(fields := line.split("|", 4)) == 5]
    yield _default_partition([name for name, *_ in partitions])
    yield _no_partition(variables)
    yield from _longest(site, [limit for _, limit, *_ in partitions])
    yield from _gpus(site, [_Nodes(_number(cores), _number(memory), gres) for _, _, cores, memory, gres in partitions])


def _setting(line: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"(\w+)\s*=\s*(.*?)\s*", line)
    return (found[1], found[2]) if found else None


def _min_job_age(site: Site, settings: Mapping[str, str]) -> Finding:
    said = settings.get("MinJobAge", "")
    number = re.match(r"\d+", said)
    if number is None:
        return Finding(ABOUT, "MinJobAge", "unknown", said or "not said", "a number of seconds")
    least = LOOKS * int(site.settings.get("runferry-init-seconds-before-status-checks", FIRST_LOOK))
    if int(number[0]) >= least:
        return Finding(ABOUT, "MinJobAge", "ok", said)
    return Finding(
        ABOUT,
        "MinJobAge",
        "problem",
        said,
        f"{least} sec at least, {LOOKS} looks of the profile's",
        "the plugin asks sacct in place of squeue; set runferry-init-seconds-before-status-checks to "
        f"{int(number[0]) // LOOKS} in the profile",
    )


def _default_partition(names: list[str]) -> Finding:
    marked = sorted({name.removesuffix("*") for name in names if name.endswith("*")})
    return Finding(ABOUT, "default partition", "info", ", ".join(marked) or "none is marked (*) by sinfo")


def _no_partition(variables: Mapping[str, str]) -> Finding:
    """Check whether the workflow's way to name no partition works (`runferry.workflow.entry`)."""
    what, expected = "a job names no partition", "sinfo lists nothing for a partition that is not there"
    todo = "jobs would go to the default partition by name; attach this report to an issue"
    try:
        listed = answer_of("sinfo", "--noheader", variables={**variables, "SINFO_PARTITION": NO_PARTITION})
    except NoAnswerError as error:
        return Finding(ABOUT, what, "problem", str(error), expected, todo)
    if listed:
        return Finding(ABOUT, what, "problem", f"sinfo lists {len(listed.splitlines())} lines", expected, todo)
    return Finding(ABOUT, what, "ok", expected)


def _longest(site: Site, limits: list[str]) -> Iterator[Finding]:
    minutes = [found for limit in limits if (found := _minutes(limit)) is not None]
    if not site.cluster.jobs:
        return
    known = [each for each in (site.cluster.jobs.longest_cpu, site.cluster.jobs.longest_gpu) if each is not None]
    if not known:
        return
    expected = max(known)
    if "infinite" in limits:
        yield Finding(ABOUT, "longest time limit of a partition", "differs", "infinite", time_in_words(expected))
    elif minutes:
        found = max(minutes)
        mark = "ok" if found == expected else "differs"
        yield Finding(
            ABOUT,
            "longest time limit of a partition",
            mark,
            time_in_words(found),
            time_in_words(expected) * (mark != "ok"),
        )


def _minutes(limit: str) -> int | None:
    """Read sinfo's [days-][hours:]minutes:seconds."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):\d+", limit)
    if found is None:
        return None
    days, hours, minutes = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes


@dataclass(frozen=True)
class _Nodes:
    """Nodes that are alike."""

    cores: int
    memory: int
    """In MB, as Slurm counts them."""
    gres: str

    def gpus(self) -> dict[str, int]:
        """Return how many there are on each, by model: of `gpu:a100:4(S:0-1)` or `gpu:8`, which names none."""
        return {model: int(count) for model, count in re.findall(r"gpu:(?:([^:,()]+):)?(\d+)", self.gres)}


def _number(text: str) -> int:
    """Read sinfo's number of nodes that are not all alike, as "48+": the least of them."""
    return int(text.removesuffix("+") or 0)


def _gpus(site: Site, groups: Sequence[_Nodes]) -> Iterator[Finding]:
    """Compare the GPUs of the nodes, as sinfo lists them, with the facts."""
    if not site.cluster.gpus:
        return
    there = {model for nodes in groups for model in nodes.gpus()}
    if not there:
        yield Finding(ABOUT, "GPUs", "differs", "sinfo lists none", ", ".join(site.cluster.gpus))
        return
    known: set[str] = set()
    for gpu in site.cluster.gpus.values():
        known |= _names(gpu)
        having = [nodes for nodes in groups if _names(gpu) & nodes.gpus().keys()]
        yield _gpu(gpu, site.facts["gpu"]["models"].get(gpu.name, {}), having)
    if others := sorted(there - known):
        named = ", ".join(name or "GPUs without a model" for name in others)
        yield Finding(ABOUT, "other GPUs", "differs", named, "none that the facts do not name")


def _gpu(gpu: Gpu, said: Mapping[str, Any], groups: Sequence[_Nodes]) -> Finding:
    """Compare the nodes that have a GPU with what the facts say of a node: how many, cores and memory."""
    what = f"GPU {gpu.name}"
    if not groups:
        return Finding(ABOUT, what, "differs", "sinfo lists none", f"nodes with {gpu.request}")
    counts = {count for nodes in groups for model, count in nodes.gpus().items() if model in _names(gpu)}
    cores, memory = {nodes.cores for nodes in groups}, {nodes.memory for nodes in groups}
    found = f"{_alternatives(counts)} on a node of {_alternatives(cores)} cores"
    found += f" and {_alternatives({round(each / 1024) for each in memory})}G"
    if gpu.instance:
        return Finding(ABOUT, what, "ok", found)
    expected: list[str] = []
    if said["per_node"] and said["per_node"] not in counts:
        expected.append(f"{said['per_node']} on a node")
    if said.get("node_cores") and said["node_cores"] not in cores:
        expected.append(f"{said['node_cores']} cores")
    # A page rounds; a tenth is another node.
    if gpu.node_memory and not any(abs(each - gpu.node_memory) < gpu.node_memory / 10 for each in memory):
        expected.append(f"{said['node_memory']} of memory")
    return Finding(ABOUT, what, "differs" if expected else "ok", found, ", ".join(expected))


def _names(gpu: Gpu) -> set[str]:
    return {gpu.request, gpu.name, *gpu.aliases}


def _alternatives(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))
