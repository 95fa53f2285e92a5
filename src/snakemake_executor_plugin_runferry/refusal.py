"""The executor where the Slurm plugin cannot be built upon: it says why, in one line, when it is to be used."""

# No `from __future__ import annotations`: Snakemake calls the fields' types to read the command line.

import sys
from dataclasses import dataclass, field
from typing import Any

from snakemake_interface_executor_plugins.executors.remote import (  # pyright: ignore[reportMissingTypeStubs]
    RemoteExecutor,
)
from snakemake_interface_executor_plugins.settings import (  # pyright: ignore[reportMissingTypeStubs]
    CommonSettings,
    ExecutorSettingsBase,
)

common_settings = CommonSettings(non_local_exec=True, implies_no_shared_fs=False, job_deploy_sources=False)

_UNUSED = "Not used: the Slurm plugin that the executor is built upon is missing."


@dataclass
class RefusedSettings(ExecutorSettingsBase):
    """The settings that profiles give, so that the refusal is what a user reads."""

    init_seconds_before_status_checks: int = field(default=40, metadata={"help": _UNUSED})
    status_command: str = field(default="squeue", metadata={"help": _UNUSED})


def refusing_executor(problem: str) -> Any:
    """Return an executor that ends Snakemake with a line that says what is wrong."""

    class RefusingExecutor(RemoteExecutor):
        def __init__(self, *_: Any) -> None:
            sys.exit(f"runferry: {problem}")

        def run_job(self, job: Any) -> None:
            pass

        def cancel_jobs(self, active_jobs: Any) -> None:
            pass

        async def check_active_jobs(self, active_jobs: Any) -> Any:
            for info in active_jobs:
                yield info

    return RefusingExecutor
