"""Compare an experiment on Comet's server with the disk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from runferry.trackers.comet.segments import SAMPLED_FROM, Point, comparable_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.trackers.comet.segments import Contents
    from runferry.trackers.comet.server import ExperimentOnServer

IN_WORDS = {
    "standard_output": "console output",
    "file_name": "the script's name",
    "installed_packages": "installed packages",
    "os_packages": "the system's packages",
    "system_details": "system details",
    "system_info": "system details",
    "cloud_details": "cloud details",
    "gpu_static_info": "GPU details",
    "git_metadata": "git metadata",
    "graph": "the model's graph",
    "html": "HTML",
    "htmlOverride": "HTML",
    "log_dependency": "dependencies",
    "remote_model": "remote models",
    "register_model": "registered models",
    "ws_msg": "messages of an old comet_ml",
    "file_upload": "the git patch",
}
"""What Comet's API does not give back in a form that could be compared, by the kind of message."""


def differences(disk: Contents, there: ExperimentOnServer | None) -> list[str]:
    """Return the differences between disk and server; without any, a receipt may be written."""
    if there is None:
        return ["the server has no such experiment"]
    found: list[str] = []
    if there.running:
        found.append("the server shows the experiment as running")
    for name, points in disk.metrics.items():
        if problem := _difference(name, points, there, sampled=name in disk.sampled):
            found.append(problem)
    found += _value_differences("parameter", disk.parameters, there.parameters)
    found += _value_differences("other", disk.others, there.others)
    for asset, (name, size) in disk.assets.items():
        if asset not in there.assets:
            found.append(f"the server has no file {name}")
        elif size is not None and there.assets[asset][1] != size:
            found.append(f"the server's file {name} has {there.assets[asset][1]} bytes, the disk's {size}")
    if missing := disk.tags - there.tags:
        found.append(f"the server lacks the tags {', '.join(sorted(missing))}")
    return found


def missing_points(disk: Contents, there: ExperimentOnServer | None) -> dict[str, Counter[Point]]:
    """Count the values that the server lacks, by the metric's name.

    Of a metric that `comet upload` sends a sample of: all values where the server has none of them, else none, because
    it is not known which values the sample has.
    """
    missing: dict[str, Counter[Point]] = {}
    for name, points in disk.metrics.items():
        held = Counter(there.metrics.get(name, ())) if there else Counter[Point]()
        missing[name] = Counter() if held and name in disk.sampled else points - held
    return missing


def not_compared(disk: Contents) -> list[str]:
    """Return the kinds of data, in words, that a receipt does not cover."""
    return sorted({IN_WORDS.get(kind, kind) for kind in disk.other_kinds})


def _value_differences(what: str, ours: Mapping[str, Any], theirs: Mapping[str, str]) -> list[str]:
    missing = [f"the server has no {what} {name}" for name in ours if name not in theirs]
    return missing + [
        f"the server's {what} {name} is {theirs[name]}, the disk's {value}"
        for name, value in ours.items()
        if name in theirs and comparable_text(value) != comparable_text(theirs[name])
    ]


def _difference(name: str, points: Counter[Point], there: ExperimentOnServer, *, sampled: bool) -> str | None:
    held = Counter(there.metrics.get(name, ()))
    if sampled:
        fits = held <= points and held.total() >= SAMPLED_FROM
        return None if fits else f"the server has {held.total()} values of {name}, expected a sample of {SAMPLED_FROM}"
    if held == points:
        return None
    lacking, more = (points - held).total(), (held - points).total()
    if lacking and not more:
        return f"the server has {held.total()} of the disk's {points.total()} values of {name}"
    others = f"and lacks {lacking} of the disk's" if lacking else "which were sent twice, or by another"
    return f"the server has {more} values of {name} that the disk does not have, {others}"
