"""Explain why the command of an attempt ended, and what it lost, where its exit code does not."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from runferry.runs import reasons

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry.launch.command import Finished
    from runferry.launch.watches import Watches
    from runferry.runs.ending import Ending

#: Lines of what is missing that one message has.
_MOST_SAID = 3


def without_rows(ending: Ending, missing: list[str]) -> Ending:
    """Return an ending that says what is missing: a run that has lost rows is not done."""
    if ending.outcome == "finished":
        ending = replace(ending, exit_code=1)
    more = f"; and {len(missing) - _MOST_SAID} more" if len(missing) > _MOST_SAID else ""
    said = f"rows are missing: {'; '.join(missing[:_MOST_SAID])}{more}"
    return replace(ending, message=f"{ending.message}; {said}" if ending.message else said)


def not_collected(ending: Ending, problems: list[str]) -> Ending:
    """Return an ending that says what was not brought back: it is lost with the node, so the run is not done."""
    if not problems:
        return ending
    said = f"not collected: {problems[0]}" + (f" and {len(problems) - 1} more" if len(problems) > 1 else "")
    if ending.outcome == "finished":
        ending = replace(ending, exit_code=1)
    return replace(ending, message=f"{ending.message}; {said}" if ending.message else said)


def with_left_behind(ending: Ending, left: list[str], note: Callable[[str], object]) -> Ending:
    """Return an ending that names what the command left behind and had to be ended: that had more to do.

    Parameters
    ----------
    ending
        The command's.
    left
        A line for each process.
    note
        Takes a line for the run's log.
    """
    if not left:
        return ending
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    said = f"ended what the command left running: {left[0]}{more}"
    note(said)
    if ending.outcome != "finished":
        # Of one that failed or was stopped the reason matters more.
        return ending
    return replace(ending, message=f"{said}; have the script wait for what it starts")


def reason_of_end(ending: Ending, watches: Watches) -> str | None:
    """Return the reason why a command ended, where that is not plain from how it ended."""
    if watches.fence.superseded:
        return reasons.SUPERSEDED
    if watches.clock.warned:
        # Also with exit code 0: who was told to save and end has more to do.
        return watches.clock.reason
    asked = {signal.SIGTERM, signal.SIGINT}.intersection(ending.passed_on)
    return reasons.STOPPED if asked or ending.signal in {signal.SIGTERM, signal.SIGINT} else None


def ended_by_force(finished: Finished, watches: Watches) -> str | None:
    """Return a line about a command that was ended by force: nothing else would explain its SIGKILL. Else None."""
    if finished.forced is None:
        return None
    warning = signal.Signals(watches.clock.settings.signal).name
    seconds, reason = f"{finished.forced:.0f} s", watches.clock.reason
    if reason != reasons.TIME_LIMIT:
        warning = "SIGTERM"
    return (
        f"did not end in the {seconds} after its warning ({warning}, {reason}), and was ended by runferry so that its "
        "rows could be written; have the script end at the signal"
    )
