"""Read what a run may have instead: the resources of `any_of`, of which the job that starts first trains the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.config.names import SLURM_OPTIONS
from runferry.errors import ConfigError
from runferry.system.text import mebibytes, minutes

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Alternative:
    """One of the requests that a run's jobs make."""

    words: str
    """What the config says of it, as `gpu: a100_3g.20gb`."""
    account: str | None
    """Which Slurm account pays, where it is not the others'."""
    fields: Mapping[str, Any]
    """Of the experiment, as `fields_of` returns them."""


def fields_of(resources: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of an experiment that differ from one alternative to the other.

    Parameters
    ----------
    resources
        The config's section, with its defaults.
    where
        Its place in the config.

    Raises
    ------
    ConfigError
        When the time is none.
    """
    try:
        time = minutes(resources["time"])
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}") from error
    return {
        "cores": resources["cores"],
        "gpu": resources["gpu"],
        "memory": mebibytes(resources["memory"]) if resources["memory"] else None,
        "gpu_memory": mebibytes(resources["gpu_memory"]) if resources["gpu_memory"] else None,
        "time": time,
        "slurm": {key: value for key in SLURM_OPTIONS if (value := resources[key]) is not None},
    }


def alternatives_of(resources: Mapping[str, Any], where: str) -> tuple[Alternative, ...]:
    """Return the alternatives of an experiment's resources, in their order; none where `any_of` is null.

    Each has what the other keys of `resources` say, but for its own.

    Raises
    ------
    ConfigError
        As `fields_of`.
    """
    found: list[Alternative] = []
    section: list[dict[str, Any]] = resources["any_of"] or []
    for number, given in enumerate(section):
        merged: dict[str, Any] = {**resources, **given}
        # One of the two is meant, and what is said here is nearer.
        for key, other in (("gpu", "gpu_memory"), ("gpu_memory", "gpu")):
            if key in given and other not in given:
                merged[other] = None
        words = ", ".join(f"{key}: {value}" for key, value in given.items())
        found.append(Alternative(words, given.get("account"), fields_of(merged, f"{where}.any_of.{number}")))
    return tuple(found)
