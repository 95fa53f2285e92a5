"""Add up the most that an experiment's finished runs used, and what their jobs had asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runferry.report.measurements import GPU_BYTES, GPU_USE
from runferry.runs.reasons import OUT_OF_MEMORY, TIME_LIMIT
from runferry.system.files import read_json, write_json
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.report.model import AttemptReport, RunReport

USE_FILE = "use.json"
"""In an experiment's folder: what its last report found."""


@dataclass(frozen=True)
class Use:
    """The most that any of the finished runs used, and the least that a job asked for.

    Attributes
    ----------
    runs : int
        That are counted.
    seconds, time_limit : float or None
        Of the longest run, all of its attempts together, and of the shortest limit.
    peak_memory, memory : float or None
        Bytes.
    used_cores, cores : float, int
        CPU seconds by seconds, the mean over a job; and the cores it had.
    gpu, gpus : str, int
        The model, empty where Slurm does not name it.
    gpu_memory, gpu_use : float or None
        Bytes, of the fullest GPU; and per cent, the mean of the busiest run.
    hours : float
        Of all attempts of the runs.
    cut_short, out_of_memory : bool
        Whether a run that has not finished was ended by its time limit, or one for its memory.
    """

    runs: int
    seconds: float
    time_limit: float | None
    peak_memory: float | None
    memory: float | None
    used_cores: float | None
    cores: int
    gpu: str = ""
    gpus: int = 0
    gpu_memory: float | None = None
    gpu_use: float | None = None
    hours: float = 0.0
    cut_short: bool = False
    out_of_memory: bool = False


def use_of(runs: Sequence[RunReport]) -> Use | None:
    """Return what the finished runs used; None where nothing is known of any job that a run had for itself."""
    counted = [run for run in runs if run.state == "finished" and run.attempts and _alone(run.attempts[-1])]
    jobs = [attempt for run in counted for attempt in run.attempts if _alone(attempt)]
    usages = [attempt.usage for attempt in jobs if attempt.usage]
    if not usages:
        return None
    peaks = [
        peak
        for attempt in jobs
        for peak in (attempt.peak_memory, attempt.usage.peak_memory if attempt.usage else None)
        if peak
    ]
    busy = [usage.cpu_seconds / usage.elapsed for usage in usages if usage.cpu_seconds is not None and usage.elapsed]
    held = [run.system[GPU_BYTES].peak * 1e9 for run in counted if GPU_BYTES in run.system]
    use = [run.system[GPU_USE].mean for run in counted if GPU_USE in run.system]
    models = {usage.gpu for usage in usages}
    return Use(
        runs=len(counted),
        seconds=max(max(sum(attempt.seconds or 0 for attempt in run.attempts), _elapsed(run)) for run in counted),
        time_limit=min((usage.time_limit for usage in usages if usage.time_limit), default=None),
        peak_memory=max(peaks, default=None),
        memory=min((usage.memory for usage in usages if usage.memory), default=None),
        used_cores=max(busy, default=None),
        cores=min(usage.cores for usage in usages),
        gpu=models.pop() if len(models) == 1 else "",
        gpus=max(usage.gpus for usage in usages),
        # Of one that measured nothing it is not known whether it would fit.
        gpu_memory=max(held) if held and len(held) == len(counted) else None,
        gpu_use=max(use) if use and len(use) == len(counted) else None,
        hours=sum(usage.elapsed for usage in usages) / 3600,
        cut_short=any(run.state != "finished" and _ended_by(run, TIME_LIMIT) for run in runs),
        out_of_memory=any(_ended_by(run, OUT_OF_MEMORY) for run in runs),
    )


def write_use(experiment_folder: Path, use: Use | None) -> None:
    """Keep what the runs of an experiment used, for `runferry plan --advice`."""
    write_json(experiment_folder / USE_FILE, asdict(use) if use else None)


def read_use(experiment_folder: Path) -> Use | None:
    """Read what the last report of an experiment kept; None where it knew nothing, or there was none."""
    try:
        value: Any = read_json(experiment_folder / USE_FILE)
        return Use(**value) if is_mapping(value) else None
    except (OSError, ValueError, TypeError):
        # The next report writes it anew.
        return None


def _alone(attempt: AttemptReport) -> bool:
    return attempt.usage is not None and not attempt.shared


def _elapsed(run: RunReport) -> float:
    return max(attempt.usage.elapsed for attempt in run.attempts if attempt.usage)


def _ended_by(run: RunReport, reason: str) -> bool:
    return any(attempt.why.startswith(reason) for attempt in run.attempts)
