"""Whether a run whose attempt has ended goes on in another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runferry.run_folder import RunFolder


def should_continue(folder: RunFolder) -> bool:  # noqa: ARG001 - no ending is a reason yet
    """Say whether the run's last attempt ended for a reason that another one goes on from."""
    return False
