"""Advise what the next runs of an experiment could ask for, by what the finished ones used."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runferry.config.billing import billed
from runferry.config.job_request import LEAST_CORES, Request
from runferry.report.attempts import duration, size
from runferry.report.use import USE_FILE, read_use
from runferry.system.text import count_of, time_in_words

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runferry.config.cluster import Cluster, Gpu
    from runferry.report.use import Use

SPARE = 1.25
"""What is advised is that much more than the most that was used: the next run may need more."""
WORTHWHILE = 0.75
"""Nothing is advised that is more than this part of what was asked for."""
_LITTLE_GPU_USE = 40.0
"""In per cent, mean over a run."""
_SLICES = 7
"""A GPU with MIG is cut into so many slices of compute; `2g` in an instance's name has two."""


@dataclass(frozen=True)
class Bill:
    """What an hour of a job is billed, in reference GPU units, and by which share: "GPUs", "cores" or "memory"."""

    units: float
    share: str


@dataclass(frozen=True)
class RequestAdvice:
    """A request that would have done for all the runs of a `Use`; None is what was asked for.

    Attributes
    ----------
    minutes : int or None
    gigabytes : int or None
        Of memory.
    cores : int or None
    gpu : Gpu or None
        A MIG instance in place of the whole GPU.
    before, after : Bill or None
        What an hour was billed, and would be; None where the site's units are not known.
    """

    minutes: int | None = None
    gigabytes: int | None = None
    cores: int | None = None
    gpu: Gpu | None = None
    before: Bill | None = None
    after: Bill | None = None

    @property
    def resources(self) -> dict[str, str]:
        """Return what changes, as an experiment's `resources` has it in a config."""
        given = {
            "gpu": self.gpu.name if self.gpu else None,
            "cores": str(self.cores) if self.cores else None,
            "memory": f"{self.gigabytes}G" if self.gigabytes else None,
            "time": f"{self.minutes}m" if self.minutes else None,
        }
        return {name: text for name, text in given.items() if text}


@dataclass(frozen=True)
class Advice:
    """What is said of an experiment's next request.

    Attributes
    ----------
    headline : str
    sentences : list of str
        What was used, and why each line.
    lines : list of str
        To be put into the config; empty where nothing would be saved.
    """

    headline: str
    sentences: list[str] = field(default_factory=list[str])
    lines: list[str] = field(default_factory=list[str])


def advise(name: str, use: Use | None, cluster: Cluster | None) -> Advice:
    """Return the advice for an experiment.

    Parameters
    ----------
    name
        The experiment's, as the config has it.
    use
        What its finished runs used; None where that is not known.
    cluster
        Whose tiers, GPUs and bundles count; None leaves them out.
    """
    if use is None:
        return Advice("Nothing is known yet of what a finished run used: Slurm's accounting has no job of one alone.")
    proposal = propose(use, cluster)
    sentences = _sentences(use, proposal, cluster)
    if not proposal.resources:
        return Advice("What was asked for is what the runs need: a smaller request would not save anything.", sentences)
    # A name may be anything that YAML would read otherwise.
    key = name if re.fullmatch(r"[A-Za-z_][\w-]*", name) else json.dumps(name)
    given = [f"      {resource}: {text}" for resource, text in proposal.resources.items()]
    lines = ["experiments:", f"  {key}:", "    resources:", *given]
    return Advice(f"By {count_of(use.runs, 'finished run')}, with a quarter to spare:", sentences, lines)


def propose(use: Use, cluster: Cluster | None) -> RequestAdvice:
    """Return the smallest request that would have done, each figure with `SPARE` above the most that was used.

    With a GPU, cores and memory are not brought below what goes with it: that is billed in any case.
    """
    gpu = cluster.gpu_names.get(use.gpu.lower()) if cluster and use.gpu else None
    whole = _with_gpu(use, gpu, cluster, minutes=_shorter_time(use))
    if cluster is None or gpu is None or whole.before is None:
        return whole
    # A slice may be slower: its time is left as it was.
    slices = [_with_gpu(use, each, cluster, minutes=None) for each in _instances(use, gpu, cluster)]
    cheaper = [each for each in slices if each.after and each.after.units <= whole.before.units * WORTHWHILE]
    return min(cheaper, key=lambda each: each.after.units if each.after else math.inf, default=whole)


def _with_gpu(use: Use, gpu: Gpu | None, cluster: Cluster | None, *, minutes: int | None) -> RequestAdvice:
    """Return the proposal with a GPU that is the one of the jobs, or an instance in its place."""
    cores, gigabytes = _fewer_cores(use, gpu), _less_memory(use, gpu)
    now = cluster.gpu_names.get(use.gpu.lower()) if cluster else None
    memory = gigabytes * 1024 if gigabytes else (use.memory or 0) / 2**20
    return RequestAdvice(
        minutes,
        gigabytes,
        cores,
        gpu if gpu is not now else None,
        bill_of(cluster, now, use.gpus, use.cores, (use.memory or 0) / 2**20) if cluster else None,
        bill_of(cluster, gpu, use.gpus, cores or use.cores, memory) if cluster else None,
    )


def bill_of(cluster: Cluster, gpu: Gpu | None, gpus: int, cores: int, memory: float) -> Bill | None:
    """Return what an hour of a job is billed; None where the site's units are not established, and without a GPU.

    Parameters
    ----------
    gpus, cores, memory
        Of the whole job; memory in MiB.
    """
    units, share = billed(Request(cores, int(memory), 0, gpu, gpus), cluster.bundle)
    return Bill(round(units, 2), share) if units is not None and share is not None else None


def _shorter_time(use: Use) -> int | None:
    if use.time_limit is None or use.cut_short:
        return None
    minutes = max(5, math.ceil(use.seconds * SPARE / 300) * 5)
    return minutes if minutes * 60 <= use.time_limit * WORTHWHILE else None


def _less_memory(use: Use, gpu: Gpu | None) -> int | None:
    """Return gigabytes (GiB, as Slurm counts) that would have done; None where there is little to save."""
    if use.peak_memory is None or use.memory is None or use.out_of_memory:
        return None
    needed = max(1, math.ceil(use.peak_memory * SPARE / 2**30))
    with_gpu = (gpu.memory or 0) * use.gpus // 1024 if gpu else 0
    gigabytes = max(needed, with_gpu)
    return gigabytes if gigabytes * 2**30 <= use.memory * WORTHWHILE else None


def _fewer_cores(use: Use, gpu: Gpu | None) -> int | None:
    if use.used_cores is None:
        return None
    cores = max(LEAST_CORES, math.ceil(use.used_cores * SPARE), (gpu.cores or 0) * use.gpus if gpu else 0)
    return cores if cores <= use.cores * WORTHWHILE else None


def _instances(use: Use, gpu: Gpu, cluster: Cluster) -> list[Gpu]:
    """List the MIG instances that have the GPU memory and the compute that the fullest and the busiest run used."""
    if use.gpus != 1 or gpu.instance or use.gpu_memory is None or use.gpu_use is None:
        return []
    found: list[Gpu] = []
    for each in cluster.gpus.values():
        parts = re.fullmatch(rf"{re.escape(gpu.name)}_(\d+)g\.(\d+)gb", each.name)
        if parts and each.instance:
            slices, gigabytes = int(parts[1]), int(parts[2])
            if use.gpu_memory * SPARE <= gigabytes * 1e9 and use.gpu_use * SPARE <= 100 * slices / _SLICES:
                found.append(each)
    return found


def _sentences(use: Use, proposal: RequestAdvice, cluster: Cluster | None) -> list[str]:
    said = [_time_sentence(use, proposal, cluster)]
    if use.peak_memory and use.memory:
        more = " A run was ended for its memory: what it would have taken is not known." if use.out_of_memory else ""
        less = f" memory: {proposal.gigabytes}G would do." if proposal.gigabytes else ""
        said.append(f"Memory: at most {size(use.peak_memory)} of {size(use.memory)}.{less}{more}")
    if use.used_cores is not None:
        less = f" cores: {proposal.cores} would do." if proposal.cores else ""
        said.append(f"Cores: at most {use.used_cores:.1f} of {use.cores} busy, in the mean over a job.{less}")
    if use.gpu_use is not None:
        held = f", at most {use.gpu_memory / 1e9:.1f} GB of its memory" if use.gpu_memory is not None else ""
        said.append(f"GPU: busy for at most {use.gpu_use:.0f} % of the time{held}.{_gpu_words(use, proposal)}")
    if proposal.before and proposal.after:
        said.append(_bill_sentence(use, proposal.before, proposal.after))
    return [sentence for sentence in said if sentence]


def _time_sentence(use: Use, proposal: RequestAdvice, cluster: Cluster | None) -> str:
    if use.time_limit is None:
        return ""
    text = f"Time: the longest run took {duration(use.seconds)} of {duration(use.time_limit)}."
    if use.cut_short:
        return f"{text} A run that has not finished was ended by its limit: what it would have taken is not known."
    if proposal.gpu:
        return f"{text} It is left as it is: on a part of a GPU a run may take longer."
    if proposal.minutes is None:
        return text
    tiers = cluster.jobs.tiers if cluster and cluster.jobs else ()
    now, then = (next((tier for tier in tiers if tier * 60 >= limit), None) for limit in _limits(use, proposal))
    sooner = "shorter jobs start sooner"
    if now and then:
        tier = f"the site's tier of up to {time_in_words(then)}"
        sooner = f"{tier}, as before" if now == then else f"{tier} and no longer that of up to {time_in_words(now)}"
        sooner = f"that is in {sooner}"
    advised = cluster.jobs.advised if cluster and cluster.jobs else None
    short = ""
    if advised and proposal.minutes < advised:
        short = f" The site wants jobs of at least {time_in_words(advised)}: let runs share one, in turn (packing)."
    return f"{text} time: {proposal.minutes}m would do; {sooner}.{short}"


def _limits(use: Use, proposal: RequestAdvice) -> tuple[float, float]:
    return use.time_limit or 0, (proposal.minutes or 0) * 60


def _gpu_words(use: Use, proposal: RequestAdvice) -> str:
    if proposal.gpu:
        return f" gpu: {proposal.gpu.name} has room for that, with a quarter to spare."
    if use.gpu_use is not None and use.gpu_use < _LITTLE_GPU_USE:
        return " A smaller GPU or several runs on one (packing) would cost less."
    return ""


def _bill_sentence(use: Use, before: Bill, after: Bill) -> str:
    if after.units >= before.units:
        return f"Billed: {before.units:g} RGU an hour, by its {before.share}; the same after this."
    saved = (before.units - after.units) * use.hours
    return (
        f"Billed: {after.units:g} RGU an hour, by its {after.share}, in place of {before.units:g}, by its "
        f"{before.share}: {saved:,.1f} RGU-hours less for these runs' {use.hours:,.1f} hours."
    )


def advice_lines(results: Path, experiments: Iterable[str], cluster: Cluster | None) -> list[str]:
    """Return the advice for experiments as lines for a terminal, by what their last reports found."""
    said: list[str] = []
    for name in experiments:
        use = read_use(results / name)
        if use is None and not (results / name / USE_FILE).exists():
            said.append(f"{name}: no report yet; runferry report {results / name} reads what its runs used")
            continue
        advice = advise(name, use, cluster)
        said += [
            f"{name}: {advice.headline}",
            *(f"  {line}" for line in advice.lines),
            *(f"  {line}" for line in advice.sentences),
        ]
    return said
