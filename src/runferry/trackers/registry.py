"""Find a tracker by its name in the config or in a run's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runferry.config.names import COMET, WANDB
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.trackers.tracker import Tracker


def tracker_named(name: str) -> Tracker:
    """Return the tracker of a name, as `tracker` in the config and in a run's record has it.

    Raises
    ------
    ConfigError
        When there is none.
    """
    # Each imported where it is wanted: a job or a rule of the one has no use for the other.
    if name == WANDB:
        from runferry.trackers.wandb.tracker import WandbTracker

        return WandbTracker()
    if name == COMET:
        from runferry.trackers.comet.tracker import CometTracker

        return CometTracker()
    message = f"tracker: found {name!r}, expected one of {WANDB}, {COMET}"
    raise ConfigError(message)


def tracker_of(record: Mapping[str, Any]) -> Tracker:
    """Return the tracker of a run by its record, or of a checked config.

    Raises
    ------
    ConfigError
        As `tracker_named`.
    """
    return tracker_named(record.get("tracker", WANDB))


def logs_to_wandb(record: Mapping[str, Any]) -> bool:
    """Tell whether a run logs to W&B, whose segments can be read here for more than syncing them."""
    return record.get("tracker", WANDB) == WANDB
