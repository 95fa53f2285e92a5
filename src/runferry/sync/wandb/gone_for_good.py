"""Word what no sync can bring: the user may accept a receipt that lists it."""

from __future__ import annotations

NOR_ON_DISK = "nor on the disk any more"
NOT_READ = "not read as a whole"
IS_GONE = "is gone from this disk"
NEVER_WRITTEN = "were logged and are not on the disk"
OF_LAUNCHER = "(so says the attempt's record)"
_WORDS = (NOR_ON_DISK, NOT_READ, IS_GONE, NEVER_WRITTEN, OF_LAUNCHER)

HOW_TO_ACCEPT = (
    "what is gone for good no sync can bring: sync.accept_missing: true in the config, or runferry sync "
    "--accept-missing, gives a receipt that lists it"
)


def may_be_accepted(line: str) -> bool:
    """Return whether a difference, or a run's problem, is of what can never be sent."""
    return any(words in line for words in _WORDS)
