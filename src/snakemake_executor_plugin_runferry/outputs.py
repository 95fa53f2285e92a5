"""What Snakemake does around a rule's command inside of a job, done by the controller, since there is none inside.

============================  ========================================================================================
before                        what is protected is refused; outputs of an earlier time are removed; folders are made.
                              The log is not removed: it holds all attempts.
after                         the benchmark is written from the attempt's record. That outputs are there, the touching
                              of outputs and the marks of incomplete ones are the controller's in any case.
============================  ========================================================================================
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_interface_common.exceptions import WorkflowError

from runferry.runs.attempt_record import Used
from runferry.system.files import write_atomically

if TYPE_CHECKING:
    from runferry.workflow.training_job import TrainingJob

_BENCHMARK_COLUMNS = ("s", "h:m:s", "max_rss", "max_vms", "max_uss", "max_pss", "io_in", "io_out", "mean_load")


def needs_snakemake(job: Any) -> bool:
    """Return whether something was asked for that only a Snakemake inside of the job does."""
    return bool(getattr(job, "shadow_dir", None)) or any(getattr(one, "is_storage", False) for one in job.output)


def trained_meanwhile(job: Any, training: TrainingJob) -> bool:
    """Return whether a run has been trained since Snakemake found that it was not."""
    return training.done and str(training.done_file) in set(map(str, job.dag.reason(job).missing_output))


def prepare(job: Any) -> None:
    """Make room for the outputs of a job that is about to be submitted.

    Raises
    ------
    WorkflowError
        When an output is protected.
    """
    for output in map(Path, job.output):
        if output.exists() and not os.access(output, os.W_OK):
            message = f"{output}: found it write-protected, expected an output that may be replaced"
            raise WorkflowError(message)
        if output.is_dir() and not output.is_symlink():
            shutil.rmtree(output)
        else:
            output.unlink(missing_ok=True)
        output.parent.mkdir(parents=True, exist_ok=True)
    for log in map(Path, job.log):
        log.parent.mkdir(parents=True, exist_ok=True)


def write_benchmark(job: Any, training: TrainingJob) -> None:
    """Write the file of a rule's `benchmark:`, as far as the records of the last attempts say what it holds."""
    if not job.benchmark:
        return
    rows: list[str] = []
    for folder in training.folders:
        for record in folder.attempts()[-1:]:
            seconds, used = record.seconds or 0.0, record.used or Used()
            load = 100 * used.cpu_seconds / seconds if used.cpu_seconds and seconds else None
            memory = used.peak_memory / 2**20 if used.peak_memory else None
            values = [f"{seconds:.4f}", _clock(seconds), memory, None, None, None, None, None, load]
            rows.append("\t".join("NA" if value is None else _number(value) for value in values))
    file = Path(job.benchmark)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, "\n".join(["\t".join(_BENCHMARK_COLUMNS), *rows]) + "\n")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}"
