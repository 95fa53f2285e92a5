"""How to make the stand-in another server than runferry assumes: each of its assumptions, turned.

The names are those of docs/how-it-works.md and of `runferry doctor --server`; a test holds the three together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Turned:
    """What makes an assumption false.

    Parameters
    ----------
    behaviour
        As for `StandIn.behave`.
    rules
        As for `StandIn.faults`.
    """

    behaviour: dict[str, Any] = field(default_factory=dict[str, Any])
    rules: tuple[dict[str, Any], ...] = ()


def _rule(**rule: Any) -> Turned:
    return Turned(rules=(rule,))


def _behaviour(**behaviour: Any) -> Turned:
    return Turned(behaviour)


TURNED: dict[str, Turned] = {
    "lag": _behaviour(lag=120.0),
    "rows": _rule(match="file_stream", alter_rows=0.3),
    "rows_lag": _behaviour(rows_lag=120.0),
    "segments": _behaviour(lag=120.0, lag_of="resume"),
    "resent": _behaviour(resent="appended"),
    "gaps": _behaviour(gaps="kept"),
    "history_end": _behaviour(history_end="inclusive"),
    "longest_history": _behaviour(longest_history=500),
    "most_names": _behaviour(most_names=100),
    "longest_page": _behaviour(longest_page=1),
    "heavy_run_seconds": _behaviour(heavy_run_seconds=6.0),
    "largest_request": _behaviour(largest_request=5_000_000),
    "summary_nan": _behaviour(summary_nan="null"),
    "integers": _behaviour(integers="double"),
    "summary_dots": _behaviour(summary_dots=3),
    "states": _behaviour(states="kept"),
    "files_lag": _behaviour(files_lag=120.0),
    "redirects": _rule(match="file_stream", status=302, location="/login"),
    # A 429 that does not say how long to wait.
    "limit": _rule(match="graphql", containing="viewer", count=1, status=429),
}
"""By the assumption's id. For another degree of one, `behave` and `faults` say what there is."""
