"""Set the options that every `runferry sync` of a workflow takes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

SYNC_OPTIONS = "RUNFERRY_SYNC_OPTIONS"
"""A variable with options of `runferry sync` that hold where the command line does not say otherwise: a JSON mapping of
results folders, since a workflow may use this one as a module several times, to the options of each."""


def set_options(results: Path, options: Sequence[str]) -> None:
    """Set the options of every `runferry sync` that this process starts for runs below `results`.

    A variable and no rule's param: a changed deadline would make Snakemake remove every receipt and sync again.
    """
    os.environ[SYNC_OPTIONS] = json.dumps({**_given(), str(results.resolve()): list(options)})


def options_for(words: Iterable[str]) -> list[str]:
    """Return the options of the first results folder that one of these words lies in; none without one."""
    given = _given()
    paths = [Path(word).resolve() for word in words] if given else []
    folders = (str(folder) for path in paths for folder in (path, *path.parents))
    return next((given[folder] for folder in folders if folder in given), list[str]())


def words_of(given: argparse.Namespace) -> list[str]:
    """Return the options of `runferry sync` that say how it syncs, as they were given, for another sync."""
    words = [
        f"--patience={given.patience}",
        f"--deadline={given.deadline}",
        f"--parallel={given.parallel}",
        f"--settle={given.settle}",
        f"--read-back={given.read_back}",
    ]
    words += ["--accept-missing"] * given.accept_missing + ["--json"] * given.json
    return words + ["--sweeps"] * given.sweeps


def _given() -> dict[str, list[str]]:
    return json.loads(os.environ.get(SYNC_OPTIONS) or "{}")
