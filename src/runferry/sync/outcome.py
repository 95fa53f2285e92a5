"""Define the outcome of a run's sync, and the limits of a sync."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runferry.errors import NotVerifiedError
from runferry.runs.state import is_under_way

if TYPE_CHECKING:
    from runferry.runs.folder import RunFolder


PARALLEL_RUNS = 34
"""Runs that one `wandb sync` sends at once: with 100 ms of latency 100 runs take 4 s; with its default of 5, 13 s."""
SETTLE_SECONDS = 5.0
"""W&B's counts come 2 to 4 s late on a quiet day (its engineers, in pull request 12421 of wandb/wandb)."""
ALL, SAMPLED = "all", "sample"
"""How many rows are read back."""


def refuse_running(folder: RunFolder) -> None:
    """Refuse a run whose last attempt has not ended.

    Raises
    ------
    NotVerifiedError
        With the attempt, its machine and its start.
    """
    attempts = folder.attempts()
    if not attempts or not is_under_way(attempts[-1]):
        return
    last = attempts[-1]
    since = f"attempt {last.attempt} on {last.host} since {last.start}"
    raise NotVerifiedError(f"found it still training ({since}), expected it to have ended")


@dataclass(frozen=True)
class Limits:
    """The limits of a sync: its times in seconds, and how many runs it sends at once."""

    patience: float = 20.0
    """For which a server that took everything may go on counting before it is not believed."""
    deadline: float = 600.0
    """For one `wandb sync` (and a second more for each megabyte), and for asking a server in trouble again."""
    parallel: int = PARALLEL_RUNS
    """Runs that are sent at once."""
    accept_missing: bool = False
    """Whether a run gets a receipt though files or artifacts are gone from disk and server, or rows never reached the
    disk; it lists them then."""
    sweeps: bool = False
    """Whether the experiments' sweeps are made on the server and the runs counted to them."""
    settle: float = SETTLE_SECONDS
    """Between two questions whose answers must be the same before a server is believed that has a part of a run."""
    read_back: str = SAMPLED
    """Which rows of a run that was sent to an empty place are read back: `all`, or of a long one a `sample`."""


@dataclass
class Outcome:
    """The outcome of one run's sync."""

    folder: RunFolder
    problem: str | None = None
    """One line that says why there is no receipt; None where there is one."""
    sent: list[str] = field(default_factory=list[str])
    """The segments that this call sent."""
    asked: bool = True
    """Whether somebody waits for it; False for a run that goes along with others."""
