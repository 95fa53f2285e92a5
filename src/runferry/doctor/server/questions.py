"""Measure how a server takes the questions of sync: many names, heavy fields, redirects, limits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from runferry.doctor.server.assumptions import NAMES
from runferry.doctor.server.findings import finding, not_seen
from runferry.doctor.server.place import ask_raw
from runferry.errors import ServerError
from runferry.trackers.http_rules import REDIRECTS, redirect_message, seconds_to_wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runferry.doctor.finding import Finding
    from runferry.doctor.server.place import Place, RawAnswer
    from runferry.trackers.wandb.server import Server

_LONGEST_PAGE = 1000
"""Runs in one answer, by W&B's documentation."""


def viewer(server: Server) -> RawAnswer:
    """Ask whose key it is, and return the answer as it came."""
    return ask_raw(server, "/graphql", {"query": "query RunferryDoctorViewer { viewer { entity } }", "variables": {}})


def names(place: Place, runs: Sequence[str]) -> Iterator[Finding]:
    """Ask for many names at once, of which two are there, and for long pages."""
    first, last = runs
    many = [first, *(f"runferry-doctor-none-{number}" for number in range(NAMES - len(runs))), last]
    begun = time.monotonic()
    try:
        found = place.ids(many)
        words = f"{len(found)} of 2 runs found among {len(many)} names, in {time.monotonic() - begun:.1f} s"
        # That one is missing may be the page's fault, which the next question tells.
        yield finding("most_names", words, holds=bool(found))
    except ServerError as error:
        yield finding("most_names", f"{len(many)} names are refused ({error})", holds=False)
    pages: list[str] = []
    whole = True
    for size in (NAMES, _LONGEST_PAGE, _LONGEST_PAGE + 1):
        try:
            there = len(place.ids(list(runs), size))
            pages.append(f"{size}: {there} of 2 runs")
            whole = whole and there == len(runs)
        except ServerError as error:
            pages.append(f"{size}: refused ({error})")
            whole = whole and size > NAMES
    yield finding("longest_page", f"pages of {'; '.join(pages)}", holds=whole)


def heavy(place: Place, runs: Sequence[str]) -> Finding:
    """Ask for all that sync compares of both runs."""
    begun = time.monotonic()
    found = place.server.runs(place.entity, place.project, runs, with_files=True)
    took = time.monotonic() - begun
    words = f"{len(found)} runs in {took:.2f} s"
    return finding("heavy_run_seconds", words, holds=took <= place.patience.slow)


def answers(place: Place, run: str) -> Iterator[Finding]:
    """Yield findings about redirects and limits, from the first question and one more request for a run."""
    path = "/".join(quote(part, safe="") for part in (place.entity, place.project, run))
    second = ask_raw(place.server, f"/files/{path}/file_stream", {})
    both = (place.first_answer, second)
    redirects = [answer for answer in both if answer.status in REDIRECTS]
    words = "none in a question and a request for rows"
    for answer in redirects:
        words = redirect_message(place.server.base_url, answer.status, answer.headers.get("Location"))
    yield finding("redirects", words, holds=not redirects)
    named = [
        f"{name}: {value}"
        for answer in both
        for name, value in answer.headers.items()
        if "ratelimit" in name.lower().replace("-", "") or name.lower() == "retry-after"
    ]
    headers = f"headers: {', '.join(named) or 'none about limits'}"
    limited = [answer for answer in both if answer.status == 429]
    if not limited:
        yield not_seen("limit", f"no 429 came; {headers}")
        return
    says = all(seconds_to_wait(429, answer.headers.get) is not None for answer in limited)
    yield finding("limit", f"429; {headers}", holds=says)
