"""Define what differs from one tracker to the other, in one protocol for each phase of a run.

`TrackerSettings` is asked by the workflow before anything is submitted, `TrackerInJob` by the launcher in the job. What
carries runs to a server is the third, `runferry.sync.carriers.Carrier`.

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
    from runferry.trackers.wandb.core import InstalledCore


class TrackerSettings(Protocol):
    """Says what runs' records say of a tracker, and refuses what cannot be had.

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
        """Refuse what cannot be had here, in one line.

        Raises
        ------
        ConfigError
            As for an online run where there is no way out.
        """
        ...

    def check_experiment(self, experiment: Experiment, others: Mapping[str, Experiment]) -> None:
        """Refuse an experiment that needs what cannot be had with this tracker.

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
        """Return what runs' records say under the tracker's name, but for the group."""
        ...

    def mode(self, config: Mapping[str, Any], cluster: Cluster) -> tuple[str, str]:
        """Return "offline" or "online", and why, for the plan."""
        ...

    def put_keys_away(self, config: Mapping[str, Any]) -> None:
        """Keep keys out of the jobs that this process submits (see `runferry.trackers.api_keys`)."""
        ...


class TrackerInJob(Protocol):
    """Says what a job must do so that what its command logs is kept.

    Attributes
    ----------
    first_call : str
        What a script calls to log to it, for messages.
    """

    @property
    def first_call(self) -> str: ...  # noqa: D102 - see above

    def folders(self, folder: RunFolder) -> tuple[Path, ...]:
        """List the folders below the run's that the command writes to; they are made, or tried, first."""
        ...

    def job_variables(
        self, folder: RunFolder, run: Mapping[str, Any], attempt: int, place: Path, inherited: Mapping[str, str]
    ) -> dict[str, str]:
        """Return all variables of the command: what it inherits, without keys, and what the tracker must know.

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

    def modules(self, run: Mapping[str, Any]) -> Sequence[str]:
        """List the environment modules that the tracker needs in the job."""
        ...

    def core(self, command: Sequence[str], search_path: str) -> InstalledCore | None:
        """Find the process that the launcher keeps for the command, so that signals meant for that do not reach it.

        None where the tracker has none: there what was logged must be on the disk without it.
        """
        ...

    def finish_seconds(self, run: Mapping[str, Any]) -> float | None:
        """Return how long that process may take to end (s); None is the launcher's usual."""
        ...

    def segments(self, folder: RunFolder) -> list[Path]:
        """List what the attempts of a run have written, in the order of their start."""
        ...
