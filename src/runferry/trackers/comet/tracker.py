"""Comet as the tracker of a run: see `runferry.trackers.tracker`."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.trackers.api_keys import COMET_KEY_VARIABLE, HOLDER_VARIABLES, KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment
    from runferry.runs.folder import RunFolder
    from runferry.sync.outcome import Limits, Outcome
    from runferry.system.progress import Progress
    from runferry.trackers.wandb.core import InstalledCore

#: Taken from the command, or set for it: keys, and what would make it another experiment.
_OWNED_VARIABLES = (
    *HOLDER_VARIABLES,
    *HOLDER_VARIABLES.values(),
    "COMET_EXPERIMENT_KEY",
    "COMET_START_EXPERIMENT_TAGS",
    "COMET_START_MODE",
    "COMET_WORKSPACE",
)


@dataclass(frozen=True)
class CometTracker:
    """Comet: archives that comet_ml writes offline, `comet upload`, and a comparison over Comet's REST API."""

    name: str = "comet"
    title: str = "Comet"
    first_call: str = "comet_ml.start"

    def check(self, config: Mapping[str, Any], cluster: Cluster) -> None:  # noqa: ARG002 - the interface's
        """Refuse what is done with W&B's runs only.

        Raises
        ------
        ConfigError
            For live sync, and for sweeps on the server.
        """
        for key in ("watch", "sweeps"):
            if config["sync"][key]:
                message = (
                    f"config: sync.{key}: found true, expected false with `tracker: comet`: W&B's runs only have it"
                )
                raise ConfigError(message)

    def check_experiment(self, experiment: Experiment, others: Mapping[str, Experiment]) -> None:
        """Refuse what needs the values of metrics, which are read of W&B's runs only.

        Raises
        ------
        ConfigError
            For a bayes sweep, `early_terminate`, and an experiment that another needs the best run of.
        """
        where = f"config: experiments.{experiment.name}"
        found: str | None = None
        if experiment.rounds:
            found = "a bayes sweep"
        elif experiment.sweep and experiment.sweep.early_terminate:
            found = "a sweep with early_terminate"
        elif several := [name for name in experiment.needs if len(others[name].runs) > 1]:
            found = f"needs: {several[0]}, which has several runs"
        if found:
            message = f"{where}: found {found}, expected none with `tracker: comet`"
            raise ConfigError(f"{message}: the metrics that decide are read of W&B's runs only")

    def settings(self, config: Mapping[str, Any], cluster: Cluster) -> dict[str, Any]:  # noqa: ARG002 - the interface's
        """Return the config's section."""
        return dict(config["comet"])

    def mode(self, config: Mapping[str, Any], cluster: Cluster) -> tuple[str, str]:  # noqa: ARG002 - the interface's
        """Say that it is offline, everywhere."""
        return "offline", "comet upload on this machine brings what was logged; runs are not read for curves here"

    def put_keys_away(self, config: Mapping[str, Any]) -> None:  # noqa: ARG002 - the interface's
        """Put every key away: no job needs one."""
        from runferry.trackers.api_keys import put_away

        for variable in (COMET_KEY_VARIABLE, KEY_VARIABLE):
            put_away(variable)

    def folders(self, folder: RunFolder) -> tuple[Path, ...]:
        """List the one of the segments: Comet falls back to /tmp when it cannot write to it."""
        return (folder.path / "comet",)

    def job_variables(
        self, folder: RunFolder, run: Mapping[str, Any], attempt: int, place: Path, inherited: Mapping[str, str]
    ) -> dict[str, str]:
        """Make `comet_ml.start` offline, in the attempt's own folder, one experiment for all attempts.

        The hook that keeps what it writes (`runferry.trackers.comet.in_job`) goes into the run's folder, where a container and
        a node without this package find it.
        """
        from runferry.system.files import write_atomically, write_new

        comet, own = run["comet"], folder.path.absolute() / "comet"
        hook, key = own / "python" / "sitecustomize.py", own / "experiment_key"
        source = Path(__file__).with_name("in_job.py").read_text()
        if not hook.is_file() or hook.read_text() != source:
            write_atomically(hook, source)
        # Not from the run's id, which another person's run of the same sweep has as well: a key is Comet's for all.
        write_new(key, uuid.uuid4().hex)
        given = {
            "COMET_EXPERIMENT_KEY": key.read_text().strip(),
            "COMET_OFFLINE_DIRECTORY": str(place / "comet" / f"attempt-{attempt}"),
            "COMET_PROJECT_NAME": comet["project"],
            "COMET_START_EXPERIMENT_NAME": run["name"],
            "COMET_START_EXPERIMENT_TAGS": ",".join([comet["group"], *(comet.get("tags") or ())]),
            "COMET_START_ONLINE": "0",
            "COMET_WORKSPACE": comet.get("workspace"),
            # A container has none of this machine's Python path, and the run's folder at the same place.
            "APPTAINERENV_PYTHONPATH": str(hook.parent),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(hook.parent), inherited.get("PYTHONPATH")))),
            "RUNFERRY_COMET_WARNING_SIGNAL": run.get("warning", {}).get("signal"),
        }
        kept = {name: value for name, value in inherited.items() if name not in _OWNED_VARIABLES}
        return kept | {name: value for name, value in given.items() if value}

    def modules(self, run: Mapping[str, Any]) -> Sequence[str]:  # noqa: ARG002 - the interface's
        """List none."""
        return ()

    def core(self, command: Sequence[str], search_path: str) -> InstalledCore | None:
        """Find none: comet_ml writes in the training's own process, and each message at once."""

    def finish_seconds(self, run: Mapping[str, Any]) -> float | None:
        """Return None: there is nothing to wait for."""

    def segments(self, folder: RunFolder) -> list[Path]:
        """List the folders `comet/attempt-<n>`."""
        from runferry.trackers.comet.reading import list_segments

        return list_segments(folder)

    def given_base_url(self, run: Mapping[str, Any]) -> str | None:
        """Name the config's `comet.base_url`, else the server of `$COMET_URL_OVERRIDE`."""
        from runferry.trackers.comet.server import given_base_url

        return given_base_url(run["comet"].get("base_url"))

    def carrier(
        self, base_url: str | None, limits: Limits, results: Path, log: IO[str] | None, progress: Progress
    ) -> Callable[[Sequence[Outcome]], str | None]:
        """Find the server, and hand runs to `runferry.sync.comet.carrier`."""
        from runferry.sync.comet.carrier import Carrier
        from runferry.trackers.comet.server import find_server

        return Carrier(find_server(base_url, progress.say), limits, results, log, progress)
