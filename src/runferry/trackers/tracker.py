"""Define the differences between trackers, in one protocol for each phase of a run.

`TrackerSettings` is asked by the workflow before anything is submitted, `TrackerInJob` by the launcher in the job. The
third, `runferry.sync.carriers.Carrier`, uploads runs to a server.

A run's tracker is named in `run.json` (`tracker`; W&B's runs have no such key), and what it is told lies there under
its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord
    from runferry.trackers.wandb.core import InstalledCore


class TrackerSettings(Protocol):
    """Provides the tracker's settings for runs' records, and refuses features that are not available.

    Attributes
    ----------
    name : str
        "wandb" or "comet": in the config, in `run.json` and in receipts.
    title : str
        As a user calls it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see above
    @property
    def title(self) -> str: ...  # noqa: D102 - see above

    def check(self, config: Mapping[str, Any], cluster: Cluster) -> None:
        """Refuse a config that asks for features not available here, in one line.

        Raises
        ------
        ConfigError
            As for an online run where there is no way out.
        """
        ...

    def check_experiment(self, experiment: Experiment, others: Mapping[str, Experiment]) -> None:
        """Refuse an experiment that needs features not available with this tracker.

        Parameters
        ----------
        experiment
            The one.
        others
            All of the config, by name.

        Raises
        ------
        ConfigError
            In one line.
        """
        ...

    def settings(self, config: Mapping[str, Any], cluster: Cluster) -> dict[str, Any]:
        """Return the tracker's section of runs' records, except the group."""
        ...

    def mode(self, config: Mapping[str, Any], cluster: Cluster) -> tuple[str, str]:
        """Return "offline" or "online", and the reason, for the plan."""
        ...

    def missing_key(self, config: Mapping[str, Any]) -> str | None:
        """Return the reason why nothing can be synced, as a key that is not there; None where there is one."""
        ...

    def put_keys_away(self, config: Mapping[str, Any]) -> None:
        """Keep keys out of the jobs that this process submits (see `runferry.trackers.api_keys`)."""
        ...


class TrackerInJob(Protocol):
    """Sets up a job so that everything its command logs is kept.

    Attributes
    ----------
    first_call : str
        What a script calls to log to it, for messages.
    """

    @property
    def first_call(self) -> str: ...  # noqa: D102 - see above

    def folders(self, folder: RunFolder) -> tuple[Path, ...]:
        """Return the folders below the run's that the command writes to; they are made, or tried, first."""
        ...

    def job_variables(
        self, folder: RunFolder, run: RunRecord, attempt: int, place: Path, inherited: Mapping[str, str]
    ) -> dict[str, str]:
        """Return all variables of the command: the inherited ones, without keys, and the tracker's own.

        Parameters
        ----------
        folder
            Of the run.
        run
            The content of `run.json`.
        attempt
            The number of the attempt.
        place
            The folder that segments are written below: the run's, or on further nodes of a run one for each.
        inherited
            The launcher's own variables.
        """
        ...

    def modules(self, run: RunRecord) -> Sequence[str]:
        """Return the environment modules that the tracker needs in the job."""
        ...

    def core(self, command: Sequence[str], search_path: str) -> InstalledCore | None:
        """Find the program that the launcher runs for the command, out of reach of the signals meant for that.

        None where the tracker has no such program: there everything logged must be on the disk without it.
        """
        ...

    def finish_seconds(self, run: RunRecord) -> float | None:
        """Return the seconds that this program may take to end; None is the launcher's default."""
        ...

    def segments(self, folder: RunFolder) -> list[Path]:
        """Return the segments of a run's attempts, in the order of their start."""
        ...
