"""How the stand-in behaves where a server of W&B's does, or may do, something else than one would think.

Every field names its source: "read" is what W&B's engineers or users wrote about their server (a pull request or an
issue of wandb/wandb, or the documentation), "assumed" is what nobody outside can know. The defaults are what is known;
what differs from day to day (the lag) or is not known at all is off until a test or a person asks for it:

    with running(lag=2.0) as server:
        server.behave(summary_nan="null", heavy_run_seconds=0.05)
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from runferry_standin.problems import RefusedError

LARGEST_REQUEST = 10 * 2**20
"""Bytes of lines in one file stream request (read: the client keeps to 10 MiB, "imposed by the back-end")."""


class BehaviourError(RefusedError):
    """A behaviour that there is not; its text says what is wrong with it."""


@dataclass(frozen=True)
class Behaviour:
    """How the server behaves.

    Parameters
    ----------
    lag
        Seconds after which what was sent shows in what `lag_of` names (read: PR 12421, counts come late by 2 to 4 s on
        a quiet day).
    lag_of
        "counts" (historyLineCount, eventsLineCount, logLineCount), "summary" (the summary, the last step, the tails of
        history and events; read: PR 12668, these come from a cache), "all", which is both, or "resume": both, but only
        in the answer to a client that goes on with a run (`bucket`; read: PR 12668, of two segments sent close
        together the second can begin where the first did).
    gaps
        "rebased": history and events that would leave a gap are put where the last ones ended instead, and a write at a
        low offset sets that place back (read: issue 12269). "kept": they are put at their offset.
    largest_request
        Bytes of lines in one file stream request beyond which it is answered with 413 (read: issues 208 and 3701,
        PR 7880); None for no limit.
    longest_page
        Nodes on one page of a list (read: the documentation, "1000 at most"; that a larger wish is cut and not refused
        is assumed).
    heavy_run_seconds
        Seconds that each run of a list costs when its config, summary or history keys are asked for (read: issue 1894
        and PR 10034: 180 runs timed out at 9 s, which is 0.05).
    summary_nan
        What a NaN or an infinity in a summary comes back as: "kept", "text" ("NaN", as in the history) or "null". Not
        known.
    integers
        "exact", or "double": integers of rows, summary and config come back as the nearest double. Not known.
    summary_dots
        Levels of a summary's nesting, counted as dots in its keys, beyond which nothing is kept (read: the
        documentation's limit is 4; what happens beyond it is assumed); None for no limit.
    resent
        What becomes of a line of history or events that is sent again at its offset: it is "replaced" (read: issues
        12269 and 12379, PR 12421), "ignored", or the new one is "appended" to the last.
    history_end
        Whether the row of `maxStep` is in the answer to `history`: "exclusive" (read: PR 12010, it is not) or
        "inclusive".
    longest_history
        Rows in one answer to `history`, of more it is sampled; None for as many as are asked for (read: livedata.go of
        wandb-core, exact while there are no more rows than samples).
    most_names
        Names in one `$in` beyond which a question is refused; None for no limit. Not known.
    states
        "followed": a run's state is that of the last request, also after its end. "kept": once it has ended nothing
        changes its state. Not known.
    rows_lag
        Seconds after which rows can be read (assumed: at once, since only counts and what comes from a cache are said
        to be late).
    files_lag
        Seconds after which a file that was put is listed (read: wandb/server 56 and 1200, files show when a queue has
        been worked off).
    """

    lag: float = 0.0
    lag_of: str = "all"
    gaps: str = "rebased"
    largest_request: int | None = LARGEST_REQUEST
    longest_page: int = 1000
    heavy_run_seconds: float = 0.0
    summary_nan: str = "kept"
    integers: str = "exact"
    summary_dots: int | None = None
    resent: str = "replaced"
    history_end: str = "exclusive"
    longest_history: int | None = None
    most_names: int | None = None
    states: str = "followed"
    rows_lag: float = 0.0
    files_lag: float = 0.0

    @property
    def is_late(self) -> bool:
        """Whether it must be remembered how far runs were."""
        return self.lag > 0 or self.rows_lag > 0

    @property
    def counts_lag(self) -> float:
        """Seconds after which lines are counted."""
        return self.lag if self.lag_of in ("all", "counts") else 0.0

    @property
    def summary_lag(self) -> float:
        """Seconds after which the summary, the tails and the last step show."""
        return self.lag if self.lag_of in ("all", "summary") else 0.0

    def to_resuming(self) -> Behaviour:
        """Return how the server behaves to a client that asks where a run stopped."""
        return replace(self, lag_of="all") if self.lag_of == "resume" else self

    def shown(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_CHOICES = {
    "lag_of": ("all", "counts", "summary", "resume"),
    "gaps": ("rebased", "kept"),
    "summary_nan": ("kept", "text", "null"),
    "integers": ("exact", "double"),
    "resent": ("replaced", "ignored", "appended"),
    "history_end": ("exclusive", "inclusive"),
    "states": ("followed", "kept"),
}
_MAY_BE_NONE = ("largest_request", "summary_dots", "longest_history", "most_names")


def behaviour_of(wanted: dict[str, Any]) -> Behaviour:
    """Return the default behaviour but for what `wanted` says.

    Raises
    ------
    BehaviourError
        When there is no such field or no such value of it.
    """
    known = [field.name for field in fields(Behaviour)]
    for name, value in wanted.items():
        if name not in known:
            message = f"the server has no behaviour {name!r}; it has {', '.join(known)}"
            raise BehaviourError(message)
        if name in _CHOICES:
            possible = value in _CHOICES[name]
        else:
            possible = (value is None and name in _MAY_BE_NONE) or (isinstance(value, int | float) and value >= 0)
        if not possible:
            message = f"{name}: {value!r} is not possible; see the documentation of runferry_standin.behaviour"
            raise BehaviourError(message)
    return Behaviour(**wanted)
