"""Refuse to run again what failed by itself, where Snakemake starts it again: its `retries` know no reasons.

The executor `runferry` decides that itself and starts no job for it. Under another one (`executor: slurm`, `local`)
Snakemake starts every job that failed as often as `retries` says, and the Snakemake inside of the job says which it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runferry.errors import LaunchError
from runferry.runs.continuation import settle_lost, should_continue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.runs.folder import RunFolder

RETRY_VARIABLE = "RUNFERRY_RETRY"
"""Which job this is of those that Snakemake has started for its runs, from 1."""


def check_retry(folders: Sequence[RunFolder]) -> None:
    """Return where the runs are to be started; the first job of a start always is.

    Raises
    ------
    LaunchError
        When what is left failed by itself.
    """
    # Not for the command, nor for launchers that this one starts.
    number = os.environ.pop(RETRY_VARIABLE, "")
    if not number.isdigit() or int(number) < 2:
        return
    left = [run for run in folders if not run.has_finished]
    settle_lost(left)
    if not left or any(should_continue(run) or not run.attempts() for run in left):
        return
    last = left[0].attempts()[-1]
    message = f": {last.message.rstrip('.')}" if last.message else ""
    names = ", ".join(run.path.name for run in left)
    found = f"found that its command failed by itself ({last.reason}{message})"
    expected = f"expected a cause outside it, such as a time limit; see {left[0].log_file}"
    raise LaunchError(f"run {names}: is not run again: {found}, {expected}")
