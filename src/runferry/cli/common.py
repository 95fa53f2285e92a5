"""Define the arguments that several commands share: paths of runs, and the seconds between two looks."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runferry.errors import ConfigError
from runferry.runs.folder import RunFolder, find_run_folders, listed_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    # argparse has no public name for what add_subparsers returns.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]

RUN_PATHS = "a run's folder, an experiment's, or results/"


def run_folders(paths: Sequence[Path]) -> list[RunFolder]:
    """List the run folders at or below some paths, each once.

    Raises
    ------
    ConfigError
        As `find_run_folders`, for the first path that has none.
    """
    return list({folder.path.resolve(): folder for path in paths for folder in find_run_folders(path)}.values())


def run_folders_and_missing(paths: Sequence[Path]) -> list[RunFolder]:
    """List the run folders at or below some paths, and those that experiments have in their tables and that are gone.

    Raises
    ------
    ConfigError
        As `find_run_folders`, for the first path that has neither.
    """
    found: dict[Path, RunFolder] = {}
    for path in paths:
        tables = [file for pattern in ("runs.tsv", "*/runs.tsv") for file in path.glob(pattern)]
        runs = [table.parent / run for table in tables for run in listed_names(table.parent)]
        missing = [RunFolder(run) for run in runs if not run.exists()]
        try:
            there = find_run_folders(path)
        except ConfigError:
            if not missing:
                raise
            there = []
        found |= {folder.path.resolve(): folder for folder in (*there, *missing)}
    return list(found.values())


def interval(text: str) -> float:
    """Read the seconds between two looks at the disk from the command line, for argparse."""
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        message = f"found {text}, expected 0.1 to 3600 seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds
