"""What the executor uses of the Slurm plugin's class, for type checkers: the plugin itself has no types.

`compatibility` looks at each start whether the installed plugin has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncGenerator


class PluginExecutor:
    """The plugin's Executor (2.5.3 to 2.8.0)."""

    workflow: Any
    lock: threading.Lock
    wait: bool
    active_jobs: list[Any]
    next_seconds_between_status_checks: float | None
    slurm_logdir: Any
    _failed_nodes: set[str]

    def __init__(self, workflow: Any, logger: Any) -> None: ...

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit the jobs that Snakemake has chosen together."""

    def run_job(self, job: Any) -> None:
        """Submit a job."""

    def run_array_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs as an array."""

    def format_job_exec(self, job: Any) -> str:
        """Return the command of a job."""
        raise NotImplementedError

    def get_partition_arg(self, job: Any) -> str:
        """Return the option that names the partition of a job."""
        raise NotImplementedError

    def get_python_executable(self) -> str:
        """Return the interpreter of the jobs."""
        raise NotImplementedError

    def check_active_jobs(self, active_jobs: list[Any]) -> AsyncGenerator[Any]:
        """Report what has ended and yield what goes on."""
        raise NotImplementedError

    def cancel_jobs(self, active_jobs: list[Any]) -> None:
        """Cancel jobs."""

    def report_job_submission(self, job_info: Any) -> None:
        """Tell Snakemake that a job was submitted."""

    def report_job_success(self, job_info: Any) -> None:
        """Tell Snakemake that a job has done what it was to do."""

    def report_job_error(self, job_info: Any, msg: str | None = None, **words: Any) -> None:
        """Tell Snakemake that a job has failed."""

    def _report_job_submission_threadsafe(self, job_info: Any) -> None: ...

    def _report_job_error_threadsafe(self, job_info: Any, msg: str) -> None: ...

    async def sleep(self) -> None:
        """Wait for the next look at the jobs."""
