"""Find which executor the user has chosen, by the command line and the profile: Snakemake itself says it too late."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROFILE_FILE = re.compile(r"(profile|config)(\.v\d+\+)?\.yaml")
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


def chosen_executor(words: Sequence[str]) -> str | None:
    """Return the name of the executor that the command line names, else its profiles; None where none does."""
    if named := _option(words, "--executor", "-e"):
        return named
    profiles = [
        _option(words, "--workflow-profile"),
        _option(words, "--profile") or os.environ.get("SNAKEMAKE_PROFILE"),
    ]
    return next((name for profile in profiles if profile and (name := _of_profile(profile))), None)


def _option(words: Sequence[str], *names: str) -> str | None:
    pairs = [*pairwise(words), *((word.partition("=")[0], word.partition("=")[2]) for word in words if "=" in word)]
    return next((value for name, value in reversed(pairs) if name in names and value), None)


def _of_profile(profile: str) -> str | None:
    # As Snakemake looks for it (9.17 to 9.27).
    personal = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "snakemake"
    for place in (Path(profile), personal / profile, Path("/etc/xdg/snakemake") / profile):
        with suppress(OSError, yaml.YAMLError, ValueError):
            files = (
                [place] if place.is_file() else [file for file in place.iterdir() if _PROFILE_FILE.fullmatch(file.name)]
            )
            # The one for the newest Snakemake is the last by its name.
            for file in sorted(files, reverse=True):
                given: Any = yaml.safe_load(file.read_text())
                if is_mapping(given) and (name := given.get("executor")):
                    return str(name)
    return None
