"""Print now and then how many runs are queued, running and done, since Snakemake prints nothing while jobs last."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.system.messages import say
from runferry.system.text import count_of
from snakemake_executor_plugin_runferry.run_files import STATES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

SECONDS_APART = 60.0
"""At least between two lines."""
FIRST_SECONDS = 10.0
"""Before the first line, in which the first jobs are submitted and may have begun."""
_QUIET = frozenset({"ALL", "PROGRESS"})


class Progress:
    """Prints a line where something has changed, and not often.

    Parameters
    ----------
    quiet
        The kinds of output that the user does not want: names of Snakemake's `Quietness`.
    """

    def __init__(self, quiet: Iterable[str]) -> None:
        self._quiet = not _QUIET.isdisjoint(quiet)
        self._next: float | None = None
        self._said = ""

    @property
    def is_due(self) -> bool:
        """Return whether it is time for a line."""
        if self._next is None:
            self._next = time.monotonic() + FIRST_SECONDS
        return not self._quiet and time.monotonic() >= self._next

    def show(self, counts: Counter[str], results: Iterable[Path]) -> None:
        """Print how many runs there are of each state, unless that is what the last line said.

        Parameters
        ----------
        counts
            Runs by their state.
        results
            The results folders that they lie in.
        """
        line = f"{count_of(counts.total(), 'run')}: " + ", ".join(
            f"{counts[state]:,} {state}" for state in STATES if counts[state]
        )
        if not counts or line == self._said:
            return
        say(line if self._said else f"{line}; for more, run: {status_command(results)}")
        self._said, self._next = line, time.monotonic() + SECONDS_APART

    def tell(self, line: str) -> None:
        """Print a line that tells of progress."""
        if not self._quiet:
            say(line)


def status_command(results: Iterable[Path]) -> str:
    """Return the command that shows the runs of results folders, as it is typed where Snakemake was."""
    folders = sorted({str(folder) for folder in results})
    if Path(os.environ.get("PWD", ".")).resolve() != Path.cwd():
        # Snakemake was told to work elsewhere.
        folders = [str(Path(folder).resolve()) for folder in folders]
    return shlex.join(["runferry", "status", *([] if folders == ["results"] else folders)])
