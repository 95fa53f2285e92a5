"""The executor's settings: the Slurm plugin's, by the prefix `--runferry-`, and its own."""

# No `from __future__ import annotations`: Snakemake calls the fields' types to read the command line.

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _PluginSettings = object
else:
    from snakemake_executor_plugin_slurm import ExecutorSettings as _PluginSettings


@dataclass
class ExecutorSettings(_PluginSettings):
    """Settings of the executor `runferry`.

    Attributes
    ----------
    seconds_between_looks_at_runs
        Between two looks at the runs' own files, which say that a run has ended before Slurm is asked.
    seconds_between_submissions
        From the end of one submission of a training to the next.
    seconds_before_early_receipts
        For which a run that has finished in a pack waits for others before they are synced.
    """

    seconds_between_looks_at_runs: int = field(
        default=2,
        metadata={
            "help": "Seconds between two looks at the files of the runs that train, which say before Slurm is asked "
            "that one has ended. Costs two questions to the filesystem for each run.",
            "env_var": False,
            "required": False,
        },
    )
    seconds_between_submissions: int = field(
        default=1,
        metadata={
            "help": "Seconds from the submission of one training to the next; sites ask for one at least. Not "
            "observed where --max-jobs-per-timespan says how fast jobs are submitted.",
            "env_var": False,
            "required": False,
        },
    )
    seconds_before_early_receipts: int = field(
        default=60,
        metadata={
            "help": "Seconds for which a run that has finished in a job with others waits for more of them, before "
            "they are synced together while the rest still trains. Each sync costs about a second of CPU.",
            "env_var": False,
            "required": False,
        },
    )
