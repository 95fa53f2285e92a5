"""Return W&B's settings for runs' records, and refuse modes that a cluster does not allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.trackers.settings import check_own_variables
from runferry.trackers.wandb import mode as wandb_mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.config.cluster import Cluster
    from runferry.config.experiment import Experiment


_KEYS = {
    "WANDB_API_KEY": None,
    "WANDB_BASE_URL": "wandb.base_url",
    "WANDB_DATA_DIR": None,
    "WANDB_DIR": None,
    "WANDB_ENTITY": "wandb.entity",
    "WANDB_MODE": "wandb.mode",
    "WANDB_NAME": None,
    "WANDB_PROJECT": "wandb.project",
    "WANDB_RESUME": None,
    "WANDB_RUN_GROUP": None,
    "WANDB_RUN_ID": None,
    "WANDB_SERVICE": None,
    "WANDB_SWEEP_PARAM_PATH": None,
    "WANDB_TAGS": "wandb.tags",
    "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": None,
}
"""What the launcher sets or takes away (`runferry.trackers.wandb.in_job`), and the key of the config that says it."""


@dataclass(frozen=True)
class WandbSettings:
    """Provides the settings of runs that log to W&B (see `runferry.trackers.tracker.TrackerSettings`)."""

    name: str = "wandb"
    title: str = "W&B"

    def check(self, config: Mapping[str, Any], cluster: Cluster) -> None:
        """Refuse `wandb.mode: online` where the site's page says no (see `runferry.config.site_limits.check_mode`)."""
        from runferry.config.site_limits import check_mode

        check_mode(config["wandb"], cluster)

    def check_experiment(self, experiment: Experiment, others: Mapping[str, Experiment]) -> None:  # noqa: ARG002 - the interface's
        """Refuse variables that the launcher sets for wandb, in whose place there is a key of the config.

        Raises
        ------
        ConfigError
            For the first one.
        """
        check_own_variables(experiment, _KEYS, self.title)

    def settings(self, config: Mapping[str, Any], cluster: Cluster) -> dict[str, Any]:
        """Return the config's section and those of online jobs (see `runferry.config.site_limits.wandb_of_runs`)."""
        from runferry.config.site_limits import wandb_of_runs

        return wandb_of_runs(config["wandb"], cluster)

    def mode(self, config: Mapping[str, Any], cluster: Cluster) -> tuple[str, str]:
        """Return the mode, and the site's own reason."""
        facts = cluster.wandb
        if wandb_mode.is_online(config["wandb"]["mode"]):
            metrics = "metrics only, the sync brings the files; " if facts.availability == "limited" else ""
            return "online", f"{metrics}the site says: {facts.reason}"
        elsewhere = {"yes": "online is possible", "limited": "online is limited", "no": "online is not possible"}
        return "offline", f"the sync sends it; {elsewhere[facts.availability]}: {facts.reason}"

    def missing_key(self, config: Mapping[str, Any]) -> str | None:
        """Return where a key was looked for in vain, and how to get one; None where there is one."""
        from runferry.trackers.wandb.login import missing_key

        return missing_key(config["wandb"]["base_url"])

    def put_keys_away(self, config: Mapping[str, Any]) -> None:
        """Put W&B's key away, unless jobs are online and find it nowhere else."""
        from runferry.trackers.api_keys import put_away
        from runferry.trackers.wandb.login import job_finds_key

        online = wandb_mode.is_online(config["wandb"]["mode"])
        put_away(needed_in_jobs=online and not job_finds_key(config["wandb"]["base_url"]))
