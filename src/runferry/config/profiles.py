"""Find the profiles, the workflow and the schema that ship with runferry, and read a profile as Snakemake does."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config.loading import load_yaml
from runferry.errors import ConfigError
from runferry.system.shipped import shipped
from runferry.system.text import suggest
from runferry.system.values import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

PROFILE_VARIABLE = "SNAKEMAKE_PROFILE"
"""Snakemake's own, for a start without `--profile`."""
# The names that Snakemake 9 takes, the newest first.
_FILES = ("profile.v*+.yaml", "profile.yaml", "config.v*+.yaml", "config.yaml")


def profile_names() -> list[str]:
    """List the profiles that ship with runferry, in alphabetical order."""
    return sorted(folder.name for folder in shipped("profiles").iterdir() if folder.is_dir())


def shipped_profile(name: str) -> Path:
    """Return the folder of a profile that ships with runferry, by its name.

    Raises
    ------
    ConfigError
        When there is none by that name.
    """
    known = profile_names()
    if name not in known:
        expected = f"expected one of {', '.join(known)}{suggest(Path(name).name, known)}"
        raise ConfigError(f"profile: found {name!r}, {expected}; run: runferry profile")
    return shipped("profiles") / name


def find_profile(given: str) -> Path:
    """Return the folder or file of a profile: a path, one of the user's own by its name, or a shipped one by its name.

    Raises
    ------
    ConfigError
        When there is none.
    """
    return _places(given)[0] if _places(given) else shipped_profile(given)


def read_profile(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a profile's settings, and what its config files and its `config:` say.

    Parameters
    ----------
    place
        Its folder, or the file itself.

    Raises
    ------
    ConfigError
        When it cannot be read.
    """
    folder = place.parent if place.is_file() else place
    matching = (file for pattern in _FILES for file in sorted(folder.glob(pattern), reverse=True))
    files = [place] if place.is_file() else list(matching)
    if not files:
        message = f"--profile: found no profile in {place}, expected a folder such as profiles/narval"
        raise ConfigError(message)
    settings = load_yaml(files[0])
    if not is_mapping(settings):
        message = f"{files[0]}: found no keys, expected Snakemake's options"
        raise ConfigError(message)
    config: dict[str, Any] = {}
    for name in _listed(settings.get("configfile")) + _listed(settings.get("configfiles")):
        # As Snakemake: a file beside the profile comes first.
        read = load_yaml(folder / name if (folder / name).exists() else Path(name))
        config |= read if is_mapping(read) else {}
    given = settings.get("config")
    if is_mapping(given):
        config |= given
    for pair in _listed(given):
        if found := re.fullmatch(r"(\w+)=(.*)", pair):
            config[found[1]] = found[2]
    return settings, config


def chosen_profiles(words: Sequence[str]) -> list[Path]:
    """List the profiles that a command line or `$SNAKEMAKE_PROFILE` names, the one that wins first.

    Parameters
    ----------
    words
        What follows `snakemake` on the command line.
    """
    named = [option(words, "--workflow-profile"), option(words, "--profile") or os.environ.get(PROFILE_VARIABLE)]
    return [place for name in named if name for place in _places(name)[:1]]


def option(words: Sequence[str], *names: str) -> str | None:
    """Return the value of an option on a command line, the last where it stands several times."""
    pairs = [*pairwise(words), *((word.partition("=")[0], word.partition("=")[2]) for word in words if "=" in word)]
    return next((value for name, value in reversed(pairs) if name in names and value), None)


def _places(profile: str) -> list[Path]:
    """List where Snakemake (9.17 to 9.27) would find a profile that is given by its path or name."""
    personal = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "snakemake"
    places = (Path(profile), personal / profile, Path("/etc/xdg/snakemake") / profile)
    return [place for place in places if place.exists()]


def _listed(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if is_list(value) else []
