"""Check the folder of results before anything is done, and find the runs of a renamed experiment in it."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.runs.folder import listed_names
from runferry.runs.run_record import RunRecord
from runferry.system.text import count_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.config.experiment import Experiment

_MOST_COMPARED = 200
"""Runs of another experiment whose commands are read."""


def check_results(results: Path) -> None:
    """Refuse a folder of results that is a file, or that nothing can be written to.

    Raises
    ------
    ConfigError
        With the folder.
    """
    place = results
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        message = f"{place}: found a file, expected a folder for the results; move the file away"
        raise ConfigError(f"{message}, or name another folder (pathvars: {{results: ...}})")
    if not os.access(place, os.W_OK | os.X_OK):
        message = f"{place}: found a folder that this user cannot write to, expected one for the results"
        raise ConfigError(f"{message}; change its permissions, or name another (pathvars: {{results: ...}})")


def renaming_notes(results: Path, experiments: Mapping[str, Experiment]) -> list[str]:
    """Return a line for each new experiment whose runs another folder of results has under an older name."""
    new = [one for name, one in experiments.items() if one.runs and not (results / name).exists()]
    if not new or not results.is_dir():
        return []
    found: list[str] = []
    for folder in sorted(results.iterdir()):
        names = listed_names(folder) if folder.name not in experiments else {}
        commands: set[tuple[str, ...]] = set()
        for run in islice(names, _MOST_COMPARED):
            with suppress(OSError, ValueError):
                commands.add(RunRecord.read(folder / run / "run.json").command)
        for one in new:
            same = sum(run.command in commands for run in one.runs.values())
            if same:
                found.append(
                    f"{one.name}: {count_of(same, 'run')} with the same command lie in {folder} and are trained again, "
                    f"since the name is a part of a run; to keep them, name the experiment {folder.name} again"
                )
    return found
