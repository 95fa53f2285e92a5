"""Refuse variables of an experiment that its tracker's part of the launcher sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.config.experiment import Experiment


def check_own_variables(experiment: Experiment, keys: Mapping[str, str | None], title: str) -> None:
    """Refuse a variable that the launcher sets for a tracker, or keeps from it.

    Parameters
    ----------
    experiment
        Its `variables` are looked at.
    keys
        The tracker's variables, each with the key of the config that says it, or None.
    title
        What a user calls the tracker.

    Raises
    ------
    ConfigError
        For the first one.
    """
    for name in experiment.variables:
        if name not in keys:
            continue
        where = f"config: experiments.{experiment.name}.variables.{name}"
        message = f"{where}: found a variable that runferry sets or keeps away for {title}"
        instead = f"{keys[name]} in the config in its place" if keys[name] else "none"
        raise ConfigError(f"{message}, expected {instead}; what the script itself says to {title} wins")
