"""Find which executor the user has chosen, by the command line and the profile: Snakemake itself says it too late."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from runferry.config.profiles import chosen_profiles, option, read_profile
from runferry.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

PLUGINS_OWN = (
    "executor: slurm hears what Slurm sends by a step of the launcher's own, and leaves retries, jobs of an earlier "
    "start and outages of Slurm to the plugin; executor: runferry does more (docs/module.md)"
)
"""What is less under the Slurm plugin's own executor, for the plan."""


def note_on_executor(words: Sequence[str]) -> str | None:
    """Return what the plan says of the executor; None where it is ours, none that is known, or not known.

    Parameters
    ----------
    words
        What follows `snakemake` on the command line.
    """
    return PLUGINS_OWN if chosen_executor(words) == "slurm" else None


def submits_several(words: Sequence[str]) -> bool:
    """Return whether the executor that the user has chosen submits several jobs for a run; True where none is known."""
    return chosen_executor(words) in {None, "runferry"}


def chosen_executor(words: Sequence[str]) -> str | None:
    """Return the name of the executor that the command line names, else its profiles; None where none does."""
    if named := option(words, "--executor", "-e"):
        return named
    for profile in chosen_profiles(words):
        # Snakemake itself says what is wrong with one.
        with suppress(ConfigError):
            if name := read_profile(profile)[0].get("executor"):
                return str(name)
    return None
