"""Find a tracker by its name in the config or in a run's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.config.names import COMET, WANDB
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.runs.run_record import RunRecord
    from runferry.trackers.tracker import TrackerInJob, TrackerSettings

# What is imported here is imported where it is wanted: a job or a rule of one tracker has no use for the other.


def tracker_name(name: str) -> str:
    """Return the name of a tracker, "wandb" or "comet", as a config or a run's record has it.

    Raises
    ------
    ConfigError
        When it is neither.
    """
    if name not in (WANDB, COMET):
        message = f"tracker: found {name!r}, expected one of {WANDB}, {COMET}"
        raise ConfigError(message)
    return name


def settings_of(config: Mapping[str, Any]) -> TrackerSettings:
    """Return the settings of a checked config's tracker.

    Raises
    ------
    ConfigError
        As `tracker_name`.
    """
    if tracker_name(config.get("tracker", WANDB)) == COMET:
        from runferry.trackers.comet.settings import CometSettings

        return CometSettings()
    from runferry.trackers.wandb.settings import WandbSettings

    return WandbSettings()


def in_job_of(run: RunRecord) -> TrackerInJob:
    """Return the in-job part of a run's tracker, by the run's record.

    Raises
    ------
    ConfigError
        As `tracker_name`.
    """
    if tracker_name(run.tracker) == COMET:
        from runferry.trackers.comet.in_job import CometInJob

        return CometInJob()
    from runferry.trackers.wandb.in_job import WandbInJob

    return WandbInJob()


def given_base_url(run: RunRecord) -> str | None:
    """Return the address of a run's server where one is set; None is the tracker's own, never on this machine.

    It is what the run's record says, else the variable that the tracker itself reads.

    Raises
    ------
    ConfigError
        As `tracker_name`.
    ValueError
        When the record has no section of its tracker.
    """
    if tracker_name(run.tracker) == COMET:
        from runferry.trackers.comet.server import given_base_url as given
    else:
        from runferry.trackers.wandb.address import given_base_url as given
    return given(run.given_base_url)


def logs_to_wandb(run: RunRecord) -> bool:
    """Return whether a run logs to W&B, whose segments can be read here for more than syncing them."""
    return run.tracker == WANDB
