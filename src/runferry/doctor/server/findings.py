"""Write findings about assumptions: whether one holds, what was measured, what follows where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.doctor.finding import Finding
from runferry.doctor.server.assumptions import BY_ID

if TYPE_CHECKING:
    from runferry.doctor.finding import Mark

ABOUT = "server"


def finding(name: str, found: str, *, holds: bool | None) -> Finding:
    """Return the finding about an assumption.

    Parameters
    ----------
    name
        Its id.
    found
        What was seen.
    holds
        None where it could not be found out.
    """
    assumption = BY_ID[name]
    if holds:
        return Finding(ABOUT, name, "ok", found)
    if holds is None:
        return Finding(ABOUT, name, "unknown", found, f"that {assumption.says}")
    mark: Mark = "problem" if assumption.relied_on else "differs"
    return Finding(ABOUT, name, mark, found, f"that {assumption.says}", f"so {assumption.otherwise}")


def not_seen(name: str, found: str) -> Finding:
    """Return the finding about an assumption whose case did not come up."""
    return Finding(ABOUT, name, "info", found)


def when(value: float | None, most: float) -> str:
    """Return in words after how many seconds something was seen.

    >>> when(2.131, 30.0)
    'after 2.1 s'
    >>> when(None, 30.0)
    'not within 30 s'
    """
    return f"not within {most:g} s" if value is None else f"after {value:.1f} s"
