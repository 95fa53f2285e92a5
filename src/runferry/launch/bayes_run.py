"""Launch the run that was chosen for a place in a round or a search, and write how it ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runferry.config import rounds
from runferry.config.place_record import PlaceRecord
from runferry.config.search import state
from runferry.errors import LaunchError
from runferry.runs import reasons

if TYPE_CHECKING:
    from pathlib import Path

    from runferry.runs.folder import RunFolder


def launch_place(place_file: Path) -> int:
    """Train the run that was chosen for a place; write `place_file` when it has ended, finished or failed.

    Returns
    -------
    int
        0 when it has ended, or when another of the run's jobs has started it first; as `launch` does where it has not
        ended: it was stopped, and goes on later.
    """
    from runferry.launch.launch import launch
    from runferry.launch.node_files import wait_for_file, wait_until
    from runferry.launch.takeover import starts_elsewhere

    if state.is_place(place_file):
        wait_until(lambda: state.run_of_place(place_file) is not None, place_file.parent)
    else:
        wait_for_file(place_file.with_name("runs.json"))
    folder = run_of_place(place_file)
    if starts_elsewhere(folder):
        return 0
    # The rule's log is the run's.
    log = place_file.with_suffix(".log")
    log.unlink(missing_ok=True)
    log.symlink_to(os.path.relpath(folder.log_file, log.parent))
    status = 0
    # A job that ran out of memory was killed before it could say so here.
    if not folder.trained_file.exists() and _last_reason(folder) != reasons.OUT_OF_MEMORY:
        status = launch(folder)
    return 0 if note_end(place_file) else status or 1


def run_of_place(place_file: Path) -> RunFolder:
    """Return the folder of the run whose end `place_file` records.

    Raises
    ------
    LaunchError
        When none has been chosen.
    """
    if not state.is_place(place_file):
        return rounds.run_of_place(place_file)
    folder = state.run_of_place(place_file)
    if folder is None:
        message = f"{place_file.with_name(state.POINTS)}: found no point of place {place_file.stem}, expected one"
        raise LaunchError(f"{message} that has been asked for; run: runferry launch-place {place_file}")
    return folder


def note_end(place_file: Path) -> bool:
    """Write `place_file` if the run of the place has ended for good; return whether it has."""
    folder = run_of_place(place_file)
    finished = folder.trained_file.exists()
    if not finished and _last_reason(folder) not in reasons.OWN_FAULT:
        return False
    PlaceRecord(folder.path.name, finished).write(place_file)
    return True


def _last_reason(folder: RunFolder) -> str | None:
    from runferry.runs.state import last_attempt

    attempt = last_attempt(folder)
    return attempt.reason if attempt else None
