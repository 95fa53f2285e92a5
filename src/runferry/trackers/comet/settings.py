"""Return Comet's settings for runs' records, and refuse features that only W&B's runs have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.trackers.api_keys import COMET_KEY_VARIABLE, KEY_VARIABLE
from runferry.trackers.settings import check_own_variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment


_KEYS = {
    "COMET_API_KEY": None,
    "COMET_EXPERIMENT_KEY": None,
    "COMET_OFFLINE_DIRECTORY": None,
    "COMET_PROJECT_NAME": "comet.project",
    "COMET_START_EXPERIMENT_NAME": None,
    "COMET_START_EXPERIMENT_TAGS": "comet.tags",
    "COMET_START_MODE": None,
    "COMET_START_ONLINE": None,
    "COMET_WORKSPACE": "comet.workspace",
}
"""What the launcher sets or takes away (`runferry.trackers.comet.in_job`), and the key of the config that says it."""


@dataclass(frozen=True)
class CometSettings:
    """Provides the settings of runs that log to Comet (see `runferry.trackers.tracker.TrackerSettings`)."""

    name: str = "comet"
    title: str = "Comet"

    def check(self, config: Mapping[str, Any], cluster: Cluster) -> None:  # noqa: ARG002 - the interface's
        """Refuse features that only W&B's runs have.

        Raises
        ------
        ConfigError
            For live sync, and for sweeps on the server.
        """
        for key in ("watch", "sweeps"):
            if config["sync"][key]:
                message = f"config: sync.{key}: found true, expected false with `tracker: comet`: only W&B runs have it"
                raise ConfigError(message)

    def check_experiment(self, experiment: Experiment, others: Mapping[str, Experiment]) -> None:
        """Refuse variables that are the launcher's, and what needs the values of metrics, read from W&B runs only.

        Raises
        ------
        ConfigError
            For a variable that the launcher sets, a sweep whose results choose its runs, `early_terminate`, and an
            experiment that another needs the best run of.
        """
        check_own_variables(experiment, _KEYS, self.title)
        where = f"config: experiments.{experiment.name}"
        found: str | None = None
        if experiment.chosen_count:
            found = "a sweep whose results choose its runs"
        elif experiment.sweep and experiment.sweep.early_terminate:
            found = "a sweep with early_terminate"
        elif several := [name for name in experiment.needs if len(others[name].runs) > 1]:
            found = f"needs: {several[0]}, which has several runs"
        if found:
            message = f"{where}: found {found}, expected none with `tracker: comet`"
            raise ConfigError(f"{message}: runferry reads such metrics from W&B runs only")

    def settings(self, config: Mapping[str, Any], cluster: Cluster) -> dict[str, Any]:  # noqa: ARG002 - the interface's
        """Return the config's section `comet`."""
        return dict(config["comet"])

    def mode(self, config: Mapping[str, Any], cluster: Cluster) -> tuple[str, str]:  # noqa: ARG002 - the interface's
        """Return "offline", on every cluster, and the way that logged data takes."""
        return "offline", "comet upload on this machine brings what was logged; runs are not read for curves here"

    def missing_key(self, config: Mapping[str, Any]) -> str | None:
        """Return where a key was looked for in vain, and how to get one; None where there is one."""
        from runferry.errors import ServerError
        from runferry.trackers.comet.server import find_server

        try:
            find_server(config["comet"]["base_url"])
        except ServerError as error:
            return str(error)
        return None

    def put_keys_away(self, config: Mapping[str, Any]) -> None:  # noqa: ARG002 - the interface's
        """Put every key away, since no job needs one."""
        from runferry.trackers.api_keys import put_away

        for variable in (COMET_KEY_VARIABLE, KEY_VARIABLE):
            put_away(variable)
