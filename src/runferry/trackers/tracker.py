"""The trackers that a run can log to: one interface, an implementation for each.

A run's tracker is named in `run.json` (`tracker`; W&B's runs have no such key), and what it is told lies there under
its name. Everything that is not the same for both goes through `Tracker`; what follows on a tracker's own ground, the
transaction logs of W&B or the archives of Comet, is in the modules that it hands on to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.runs.folder import RunFolder
    from runferry.sync.outcome import Limits, Outcome
    from runferry.system.progress import Progress
    from runferry.trackers.wandb.core import InstalledCore


class Tracker(Protocol):
    """What differs from one tracker to the other.

    Attributes
    ----------
    name : str
        "wandb" or "comet": in the config, in `run.json` and in receipts.
    title : str
        As a person calls it.
    first_call : str
        What a script calls to log to it, for messages.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see above
    @property
    def title(self) -> str: ...  # noqa: D102 - see above
    @property
    def first_call(self) -> str: ...  # noqa: D102 - see above

    # What a run's record says, and what is refused before anything is submitted.

    def check(self, config: Mapping[str, Any], cluster: Cluster) -> None:
        """Refuse what cannot be had here, in one line.

        Raises
        ------
        ConfigError
            As for an online run where there is no way out.
        """
        ...

    def check_experiment(self, experiment: Experiment, others: Mapping[str, Experiment]) -> None:
        """Refuse an experiment that needs what is not to be had with this tracker.

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

    # In the job.

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

    # On the disk and at the server.

    def segments(self, folder: RunFolder) -> list[Path]:
        """List what the attempts of a run have written, in the order of their start."""
        ...

    def given_base_url(self, run: Mapping[str, Any]) -> str | None:
        """Name the server's address where one is set; None is the tracker's own, which is never on this machine."""
        ...

    def carrier(
        self, base_url: str | None, limits: Limits, results: Path, log: IO[str] | None, progress: Progress
    ) -> Callable[[Sequence[Outcome]], str | None]:
        """Find a server; the function that is returned carries runs to it, compares, and writes their receipts.

        It gives each outcome its problem, or none where there is a receipt, and returns what was wrong with the server
        after something was sent, if anything was. The lock of `results` is held by the caller.

        Raises
        ------
        ServerError
            When there is no server or no key for it; the function too, when it cannot be asked before anything is sent.
        """
        ...
