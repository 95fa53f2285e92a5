"""Lay out the attempts on a time line, with the resources that each run requested and used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from runferry.report.attempts import duration, size
from runferry.report.measurements import GPU_MEMORY, GPU_USE
from runferry.report.model import NOTHING, AttemptReport

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from runferry.report.model import ExperimentReport, RunReport


@dataclass(frozen=True)
class Timeline:
    """The content of the report's section of attempts.

    Attributes
    ----------
    begin, end : str
        The first start and the last end of all attempts.
    rows : list of dict
        One for each run that has an attempt.
    asked : bool
        Whether it is known what some job asked for.
    shared : bool
        Whether some job was shared.
    gpu : bool
        Whether a GPU was seen.
    """

    begin: str = ""
    end: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    asked: bool = False
    shared: bool = False
    gpu: bool = False


def timeline(report: ExperimentReport, names: Sequence[str]) -> Timeline:
    """Lay out the attempts of all runs between the first start and the last end; `names` are the runs' names."""
    attempts = [attempt for run in report.own for attempt in run.attempts]
    starts = [attempt.start for attempt in attempts if attempt.start]
    if not starts:
        return Timeline()
    begin = min(starts)
    end = max([begin, *(attempt.end for attempt in attempts if attempt.end)])
    rows = [
        {
            "number": number,
            "name": name,
            "bars": [_bar(attempt, begin, max((end - begin).total_seconds(), 1.0)) for attempt in run.attempts],
            "log": f"{quote(run.id)}/train.log",
            **_used(run),
        }
        for number, (name, run) in enumerate(zip(names, report.runs, strict=True))
        if run.attempts
    ]
    return Timeline(
        begin=_moment(begin),
        end=_moment(end),
        rows=rows,
        asked=any(attempt.usage for attempt in attempts),
        shared=any(attempt.usage and attempt.shared for attempt in attempts),
        gpu=any(GPU_USE in run.system for run in report.runs),
    )


def _bar(attempt: AttemptReport, begin: datetime, seconds: float) -> dict[str, Any]:
    start = (attempt.start - begin).total_seconds() if attempt.start else 0.0
    length = attempt.seconds or 0.0
    where = f" on {attempt.host}" if attempt.host else ""
    job = f", job {attempt.job}" if attempt.job else ""
    return {
        "kind": attempt.kind,
        "why": attempt.why,
        "left": round(100 * start / seconds, 1),
        "width": round(max(100 * length / seconds, 0), 1),
        "title": f"attempt {attempt.number}{where}{job}: {attempt.why} after {duration(attempt.seconds)}",
    }


def _used(run: RunReport) -> dict[str, str]:
    """Say what the run's attempts used, of what the last one's job asked for."""
    last = run.attempts[-1]
    job = last.usage
    mark = " *" if job and last.shared else ""
    if job:
        time = f"{duration(job.elapsed)} of {duration(job.time_limit)}{mark}"
        peak = job.peak_memory if job.peak_memory is not None else last.peak_memory
        memory = f"{size(peak)} of {size(job.memory)}{mark}"
    else:
        time = duration(last.seconds)
        memory = size(last.peak_memory)
    cpu = [attempt.cpu_seconds for attempt in run.attempts if attempt.cpu_seconds is not None]
    use, held = run.system.get(GPU_USE), run.system.get(GPU_MEMORY)
    return {
        "time": time,
        "memory": memory,
        "cpu": duration(sum(cpu)) if cpu else NOTHING,
        "gpu_use": f"{use.mean:.0f} %" if use else NOTHING,
        "gpu_memory": f"{held.peak:.0f} %" if held else NOTHING,
    }


def _moment(time: datetime) -> str:
    return f"{time.day} {time:%b %Y, %H:%M} UTC"
