"""Install the guard around the methods of the Slurm plugin's executor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.workflow.executor_guard import Guard
from runferry.workflow.snakemake_objects import sleep

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from runferry.workflow.training_job import TrainingJob


PLUGIN = "snakemake_executor_plugin_slurm"


_WRAPPED = ("run_job", "check_active_jobs", "cancel_jobs", "report_job_error", "sleep")


def install_guard(find: Callable[[Any], TrainingJob | None], say: Callable[[str], None]) -> bool:
    """Wrap the Slurm plugin's methods, for this process; return False where that plugin is not in use.

    Parameters
    ----------
    find
        See `Guard`.
    say
        See `Guard`.

    Raises
    ------
    ConfigError
        When the plugin's methods are not those that are known.
    """
    plugin = sys.modules.get(PLUGIN)
    if plugin is None:
        return False
    executor: Any = plugin.Executor  # type: ignore[attr-defined]
    missing = [name for name in _WRAPPED if not callable(getattr(executor, name, None))]
    if missing:
        message = f"{PLUGIN}: found no {', '.join(missing)} in its Executor, expected those of versions 2.5.3 to 2.8"
        raise ConfigError(f"{message}; type: pip install 'snakemake-executor-plugin-slurm<3'")
    plain: Mapping[str, Any] = getattr(executor, "_runferry_plain", None) or {
        name: getattr(executor, name) for name in (*_WRAPPED, "run_array_jobs") if hasattr(executor, name)
    }
    for name, wrapper in _wrappers(Guard(find, say), plain).items():
        setattr(executor, name, wrapper)
    executor._runferry_plain = plain
    return True


def _wrappers(guard: Guard, plain: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Make the methods that take the place of the plugin's own, which are in `plain`."""

    def run_job(self: Any, job: Any) -> None:
        guard.run_job(lambda job: plain["run_job"](self, job), self, job)

    def run_array_jobs(self: Any, jobs: list[Any]) -> None:
        # In an array, the first task's end is taken for that of all (plugin 2.8.0): trainings are submitted one by one.
        trainings = [job for job in jobs if guard.find(job)]
        others = [job for job in jobs if job not in trainings]
        for job in trainings:
            run_job(self, job)
        if others:
            plain["run_array_jobs"](self, others)

    async def check_active_jobs(self: Any, active_jobs: list[Any]) -> AsyncGenerator[Any]:
        async for info in guard.check(lambda infos: plain["check_active_jobs"](self, infos), self, active_jobs):
            yield info

    def cancel_jobs(self: Any, active_jobs: list[Any]) -> None:
        guard.cancel(lambda infos: plain["cancel_jobs"](self, infos), self, active_jobs)

    def report_job_error(self: Any, job_info: Any, msg: str | None = None, **words: Any) -> None:
        def report(info: Any, **words: Any) -> None:
            plain["report_job_error"](self, info, **words)

        guard.report_error(report, self, job_info, msg=msg, **words)

    made = (run_job, run_array_jobs, check_active_jobs, cancel_jobs, report_job_error, sleep)
    # 2.5.3 has no arrays.
    return {wrapper.__name__: wrapper for wrapper in made if wrapper.__name__ in plain}
