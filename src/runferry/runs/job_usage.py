"""Ask Slurm's accounting what ended jobs requested and used, many jobs at once, and keep the answers in a file."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runferry.runs import slurm
from runferry.system.files import read_json, write_json
from runferry.system.values import batches, is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_JOBS_AT_ONCE = 200
"""In one call of sacct."""
_FIELDS = "JobID,State,Start,End,ElapsedRaw,TimelimitRaw,AllocTRES,MaxRSS,TotalCPU,NTasks"
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class JobUsage:
    """The times and resources of one job that has ended.

    Attributes
    ----------
    start, end : float
        Seconds since 1970.
    elapsed, time_limit : int or None
        Seconds; no limit is None.
    memory, peak_memory : int or None
        Bytes asked for on all nodes together, and the most that a step used, as far as Slurm sampled it: of several
        tasks each is taken for the largest, the only one that Slurm names.
    cores, gpus : int
        That the job had.
    cpu_seconds : float or None
    gpu : str
        The model, as Slurm names it; empty where it names none, or several.
    """

    start: float
    end: float
    elapsed: int
    time_limit: int | None
    memory: int | None
    peak_memory: int | None
    cores: int
    gpus: int
    cpu_seconds: float | None
    gpu: str = ""


def usage_of(jobs: Iterable[str], kept: Path) -> dict[str, JobUsage]:
    """Return the usage of jobs, by their ids; unknown jobs and those that have not ended are left out.

    Slurm is asked for those alone that are not in `kept`, a JSON file into which its answers go: accounting forgets,
    and a report may be made on a machine without Slurm. Where nobody answers, what is kept is what there is.
    """
    known = _read(kept)
    missing = sorted({job for job in jobs if job.isdigit()} - known.keys(), key=int)
    found: dict[str, JobUsage] = {}
    for batch in batches(missing, _JOBS_AT_ONCE):
        named = ",".join(batch)
        lines = slurm.ask("sacct", "--noheader", "--parsable2", f"--jobs={named}", f"--format={_FIELDS}")
        if lines is None:
            break
        found |= parse_usage(lines)
    if found:
        known |= found
        write_json(kept, {job: asdict(usage) for job, usage in known.items()})
    return known


def parse_usage(lines: Iterable[str]) -> dict[str, JobUsage]:
    """Parse the lines of `sacct --parsable2`: return the ended jobs, each with the peak memory of its steps."""
    rows = [line.split("|") for line in lines]
    rows = [dict(zip(_FIELDS.split(","), row, strict=True)) for row in rows if len(row) == _FIELDS.count(",") + 1]
    peaks: dict[str, int] = {}
    for row in rows:
        job, size = row["JobID"].partition(".")[0], _bytes(row["MaxRSS"])
        if size:
            peaks[job] = max(peaks.get(job, 0), size * int(row["NTasks"] or 1))
    usage: dict[str, JobUsage] = {}
    for row in rows:
        start, end = _moment(row["Start"]), _moment(row["End"])
        if "." in row["JobID"] or start is None or end is None or row["State"].partition(" ")[0] in slurm.ACTIVE:
            continue
        given = dict(part.split("=", 1) for part in row["AllocTRES"].split(",") if "=" in part)
        limit = row["TimelimitRaw"]
        usage[row["JobID"]] = JobUsage(
            start=start,
            end=end,
            elapsed=int(row["ElapsedRaw"] or 0),
            time_limit=int(limit) * 60 if limit.isdigit() else None,
            memory=_bytes(given.get("mem", "")),
            peak_memory=peaks.get(row["JobID"]),
            cores=int(given.get("cpu", 0)),
            gpus=int(given.get("gres/gpu", 0)),
            cpu_seconds=_seconds(row["TotalCPU"]),
            gpu=_model(given),
        )
    return usage


def _read(kept: Path) -> dict[str, JobUsage]:
    try:
        value: Any = read_json(kept)
        return {job: JobUsage(**usage) for job, usage in value.items()} if is_mapping(value) else {}
    except (OSError, ValueError, TypeError):
        # Written anew.
        return {}


def _model(given: Iterable[str]) -> str:
    models = [name.removeprefix("gres/gpu:") for name in given if name.startswith("gres/gpu:")]
    return models[0] if len(models) == 1 else ""


def _bytes(text: str) -> int | None:
    found = re.fullmatch(r"([\d.]+)([KMGT]?)", text)
    return int(float(found[1]) * _UNITS[found[2]]) if found else None


def _moment(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        # "Unknown", "None"
        return None


def _seconds(text: str) -> float | None:
    """Read [days-][hours:]minutes:seconds[.fraction]."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", text)
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
