"""What the advice on the next request would have saved, for workloads that are made up and stated here.

Each is the most that any of an experiment's runs used, and what its jobs asked for, on Narval: its bundles and
reference GPU units are in `src/runferry/clusters/narval.yaml`. Hours are what the jobs ran, which is what is billed; an
advised part of a GPU is billed for as many hours. Ends with an error where an advice is below what was used with a
quarter to spare.

    python benchmarks/advice.py    # prints the table of docs/report.md; under a second
"""

from __future__ import annotations

import sys

from runferry.config.cluster import find_cluster
from runferry.report.advice import SPARE, RequestAdvice, propose
from runferry.report.use import Use
from runferry.system.text import time_in_words

GIB = 2**30
WORKLOADS = {
    "40 runs of a small network, a whole A100 each": Use(
        40, 48 * 60, 3 * 3600, 5 * GIB, 124 * GIB, 1.2, 12, "a100", 1, 2.9e9, 9.0, 32.0
    ),
    "24 fine-tunings, cores and memory of two GPUs": Use(
        24, 2.2 * 3600, 12 * 3600, 61 * GIB, 248 * GIB, 7.5, 24, "a100", 1, 31e9, 86.0, 48.0
    ),
    "60 runs of a recommender, much memory": Use(
        60, 1.5 * 3600, 3 * 3600, 140 * GIB, 248 * GIB, 4.0, 12, "a100", 1, 12e9, 55.0, 80.0
    ),
    "16 runs on graphs, half of a GPU's memory": Use(
        16, 5 * 3600, 24 * 3600, 22 * GIB, 124 * GIB, 3.1, 12, "a100", 1, 14e9, 31.0, 70.0
    ),
    "8 trainings on four GPUs, as they should be": Use(
        8, 20 * 3600, 24 * 3600, 320 * GIB, 480 * GIB, 38.0, 48, "a100", 4, 37e9, 93.0, 150.0
    ),
    "200 runs of 4 minutes, 3 hours asked for": Use(
        200, 4 * 60, 3 * 3600, 3 * GIB, 15 * GIB, 0.9, 1, "a100_1g.5gb", 1, 1.9e9, 60.0, 12.0
    ),
    "12 runs, one of them out of memory": Use(
        12, 3600, 3 * 3600, 118 * GIB, 124 * GIB, 5.0, 12, "a100", 1, 8e9, 22.0, 11.0, out_of_memory=True
    ),
}


def table() -> list[str]:
    """Return the rows of the table, with a header."""
    narval = find_cluster("narval")
    rows = [
        "| workload (made up) | used at most | asked for | advice | RGU-hours billed | with the advice |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    before = after = 0.0
    for name, use in WORKLOADS.items():
        proposal = propose(use, narval)
        check(name, use, proposal)
        if proposal.before is None or proposal.after is None:
            sys.exit(f"{name}: found no bill, expected one: Narval's units are known")
        before += proposal.before.units * use.hours
        after += proposal.after.units * use.hours
        given = ", ".join(f"`{key}: {text}`" for key, text in proposal.resources.items()) or "none"
        bills = [f"{bill.units * use.hours:,.0f} ({bill.share})" for bill in (proposal.before, proposal.after)]
        rows.append(f"| {name} | {used(use)} | {asked(use)} | {given} | {bills[0]} | {bills[1]} |")
    return [*rows, f"| all of them | | | | {before:,.0f} | {after:,.0f}: {1 - after / before:.0%} less |"]


def used(use: Use) -> str:
    """Describe what was used."""
    gpu = f"GPU {use.gpu_use:.0f} %, {(use.gpu_memory or 0) / 1e9:.1f} GB"
    time = time_in_words(round(use.seconds / 60))
    return f"{time}, {(use.peak_memory or 0) / GIB:.0f} GiB, {use.used_cores:.1f} cores, {gpu}"


def asked(use: Use) -> str:
    """Describe what was asked for."""
    time = time_in_words(round((use.time_limit or 0) / 60))
    return f"{time}, {(use.memory or 0) / GIB:.0f} GiB, {use.cores} cores, {use.gpus} {use.gpu}"


def check(name: str, use: Use, proposal: RequestAdvice) -> None:
    """End with an error where an advice is below what was used with its margin, or above what was asked for."""
    bounds = {
        "time": (proposal.minutes and proposal.minutes * 60, use.seconds, use.time_limit),
        "memory": (proposal.gigabytes and proposal.gigabytes * GIB, use.peak_memory, use.memory),
        "cores": (proposal.cores, use.used_cores, use.cores),
    }
    if proposal.gpu:
        room = float(proposal.gpu.name.partition(".")[2].removesuffix("gb")) * 1e9
        bounds["GPU memory"] = (room, use.gpu_memory, 40e9)
    for what, (advised, most, given) in bounds.items():
        if advised is not None and not (most or 0) * SPARE <= advised <= (given or 0):
            sys.exit(f"{name}: {what}: advised {advised:g}, expected from {most} with a quarter to spare to {given}")


if __name__ == "__main__":
    print("\n".join(table()))
