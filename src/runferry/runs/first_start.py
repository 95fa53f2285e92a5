"""Decide which of several jobs of a run starts it: one of them claims the start, and the others find it claimed.

The controller begins a race for each submission of several jobs, and tells each job its id. A claim is a file with the
race's id in its name, made by a hard link, which one of two processes on whatever nodes gets. It is never removed: a
job that is requeued finds its own claim, and one of an earlier race that starts late finds that one claimed.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from runferry.system.files import json_text, read_json, write_json, write_new
from runferry.system.values import is_mapping

if TYPE_CHECKING:
    from pathlib import Path

    from runferry.runs.folder import RunFolder

RACE_VARIABLE = "RUNFERRY_RACE"
"""Tells a launcher the id of the race that its job takes part in."""
ALTERNATIVE_VARIABLE = "RUNFERRY_ALTERNATIVE"
"""Tells a launcher what of `any_of` its job has, in the config's words."""

_LOOKS = 20
"""For a claim that exists and that the node's filesystem does not show yet."""


def begin_race(folder: RunFolder) -> str:
    """Begin a race between jobs of a run that are about to be submitted; return its id.

    Raises
    ------
    OSError
        When that cannot be written.
    """
    race = uuid.uuid4().hex[:12]
    write_json(_race_file(folder), {"race": race})
    return race


def forget_race(folder: RunFolder) -> None:
    """Note that the run's next job is the only one, so that a start after this one takes it for no race's."""
    with suppress(OSError):
        _race_file(folder).unlink(missing_ok=True)


def current_race(folder: RunFolder) -> str | None:
    """Return the id of the race that was begun last for a run; None where its last submission was of one job."""
    try:
        race = read_json(_race_file(folder))
    except (OSError, ValueError):
        return None
    return str(race["race"]) if is_mapping(race) and race.get("race") else None


def claimed_by(folder: RunFolder, race: str) -> str | None:
    """Return the job that has claimed the start of a run in a race; None where nobody is seen to have done so."""
    try:
        claim = read_json(_claim_file(folder, race))
    except (OSError, ValueError):
        return None
    return str(claim["job"]) if is_mapping(claim) and claim.get("job") else None


def claim(folder: RunFolder, race: str, job: str) -> bool:
    """Claim the start of a run for a job; return whether the job has it, now or from before.

    Raises
    ------
    OSError
        When no claim can be written.
    """
    if holder := claimed_by(folder, race):
        return holder == job
    record = {"job": job, "host": os.uname().nodename, "pid": os.getpid()}
    if write_new(_claim_file(folder, race), json_text(record)):
        return True
    # It may be this job's own: it was requeued, or the answer to a link over NFS was lost and that was tried again.
    for _ in range(_LOOKS):
        if holder := claimed_by(folder, race):
            return holder == job
        # A node may not show at once what was written on another.
        time.sleep(0.5)
    return False


def _race_file(folder: RunFolder) -> Path:
    return folder.starts_folder / "race"


def _claim_file(folder: RunFolder, race: str) -> Path:
    return folder.starts_folder / f"first-{race}"
