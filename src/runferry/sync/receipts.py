"""Find out whether a run has its receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.errors import RunferryError
from runferry.runs.receipt import holds, promote
from runferry.trackers.registry import given_base_url

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder


def has_receipt(folder: RunFolder) -> bool:
    """Return whether a run has a receipt that holds; an interim one of a run that is trained since becomes it.

    Not where something is wrong with the run's folder, which the sync says.
    """
    try:
        base_url = given_base_url(folder.read_run())
        promote(folder, base_url)
    except (RunferryError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return holds(folder, base_url)
