"""Choose the executor: the real one, or one that says what is missing where the Slurm plugin cannot be built upon.

Every `snakemake` of the environment imports this, also those that train nothing on Slurm: it must not fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snakemake_executor_plugin_runferry.compatibility import why_not

if TYPE_CHECKING or (problem := why_not()) is None:
    from snakemake_executor_plugin_slurm import common_settings  # pyright: ignore[reportMissingTypeStubs]

    from snakemake_executor_plugin_runferry.executor import Executor
    from snakemake_executor_plugin_runferry.settings import ExecutorSettings
else:
    from snakemake_executor_plugin_runferry.refusal import RefusedSettings as ExecutorSettings
    from snakemake_executor_plugin_runferry.refusal import common_settings, refusing_executor

    Executor: Any = refusing_executor(problem)

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
