"""Define the arguments that several commands share: paths of runs, and the seconds between two looks."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runferry.runs.folder import find_run_folders

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder

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


def interval(text: str) -> float:
    """Read the seconds between two looks at the disk from the command line, for argparse."""
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        message = f"found {text}, expected 0.1 to 3600 seconds"
        raise argparse.ArgumentTypeError(message)
    return seconds
