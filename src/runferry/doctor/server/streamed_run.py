"""Measure what a server makes of lines that are sent to offsets of a run, as live sync and `fill` send them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runferry.doctor.server.assumptions import ROWS_PER_REQUEST
from runferry.doctor.server.findings import finding, when
from runferry.doctor.server.place import EVENTS, HISTORY, OUTPUT, SUMMARY
from runferry.errors import ServerError
from runferry.trackers.wandb.log.records import LARGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runferry.doctor.finding import Finding
    from runferry.doctor.server.place import Place

FEW = 3
"""Of events and lines of the console."""
RESENT = 3
"""Number of the row that is sent again."""
GAP = 5
NEW = -1
"""The value of rows that replace others."""


def begin(place: Place, run: str, lags: dict[str, float | None]) -> Finding:
    """Send a run that is empty rows, events and console lines, and add to the lags."""
    rows = [_row(step, step) for step in range(ROWS_PER_REQUEST)]
    few = [json.dumps({"system.made_up": number, "_runtime": number}) for number in range(FEW)]
    lines = {HISTORY: (0, rows), EVENTS: (0, few), OUTPUT: (0, [f"a made-up line {number}" for number in range(FEW)])}
    place.stream(run, lines)
    shown = place.times(
        run,
        {
            "rows": lambda there: there.history_lines == ROWS_PER_REQUEST,
            "events": lambda there: there.event_lines == FEW,
            "console": lambda there: there.output_lines == FEW,
            "last step": lambda there: there.last_step == ROWS_PER_REQUEST - 1,
        },
    )
    lags |= {f"{part} of the file stream": after for part, after in shown.items()}
    last = range(ROWS_PER_REQUEST - 10, ROWS_PER_REQUEST)

    def read() -> int:
        return len(place.rows(run, last[0], last[-1]))

    if shown["rows"] is None:
        return finding("rows_lag", f"{read()} of the last {len(last)} rows, when they are not counted yet", holds=None)
    at_once = read()
    if at_once == len(last):
        return finding("rows_lag", "the last rows can be read when they are counted", holds=True)
    later = place.until(read, lambda count: count == len(last))
    late = f"{at_once} of the last {len(last)} rows when they are counted, all"
    return finding("rows_lag", f"{late} {when(later.after, place.patience.showing)}", holds=False)


def history(place: Place, run: str) -> Iterator[Finding]:
    """Yield findings about how a history is read."""
    end = place.until(lambda: place.rows(run, 0, 9, 100), lambda rows: len(rows) == 10).answer
    steps = [row.get("_step") for row in end]
    exclusive = steps == list(range(10))
    shown = f"steps {steps[0]} to {steps[-1]}" if steps else "no rows"
    yield finding("history_end", f"history(minStep: 0, maxStep: 10) gives {shown}", holds=exclusive)
    last = ROWS_PER_REQUEST - 1
    whole = place.until(lambda: place.rows(run, 0, last), lambda rows: len(rows) == ROWS_PER_REQUEST).answer
    found = f"{len({row.get('_step') for row in whole})} of {ROWS_PER_REQUEST} rows in one answer"
    yield finding("longest_history", found, holds=[row.get("_step") for row in whole] == list(range(ROWS_PER_REQUEST)))


def offsets(place: Place, run: str) -> Iterator[Finding]:
    """Yield findings about lines sent again, and beyond the end."""
    place.stream(run, {HISTORY: (RESENT, [_row(RESENT, NEW)])})
    replaced = place.until(lambda: _values(place, run, RESENT), lambda values: values == [NEW])
    # The count may be late, and the rows sampled.
    rows = max(_steady_count(place, run), len(place.rows(run, 0, 2 * ROWS_PER_REQUEST)))
    found = _resent_in_words(place, replaced.answer, replaced.after, rows)
    is_replaced = replaced.after is not None and rows == ROWS_PER_REQUEST
    yield finding("resent", found, holds=is_replaced)
    if not is_replaced:
        yield finding("gaps", "not tried, since what a line sent again does is not as expected", holds=None)
        return
    # A write sets the place that lines beyond it are put at (issue 12269): after a low one all must come again.
    place.stream(run, {HISTORY: (RESENT + 1, [_row(step, step) for step in range(RESENT + 1, ROWS_PER_REQUEST)])})
    beyond, at_end = ROWS_PER_REQUEST + GAP, ROWS_PER_REQUEST + GAP + 1
    sent = f"a line sent {GAP} lines beyond the end"
    try:
        place.stream(run, {HISTORY: (ROWS_PER_REQUEST + GAP, [_row(beyond, beyond)])})
    except ServerError as error:
        yield finding("gaps", f"{sent} is refused ({error})", holds=False)
        return
    if place.until(lambda: _values(place, run, beyond), bool).after is None:
        yield finding("gaps", f"{sent} is answered as usual, and shown nowhere", holds=False)
        return
    # Where it was put at the end, this one takes its place.
    place.stream(run, {HISTORY: (ROWS_PER_REQUEST, [_row(at_end, at_end)])})
    place.until(lambda: _values(place, run, at_end), bool)
    gone = place.until(lambda: _values(place, run, beyond), lambda values: not values, place.patience.steady)
    where = "is kept at its offset" if gone.after is None else "is put at the end (the next one there replaces it)"
    yield finding("gaps", f"{sent} {where}", holds=gone.after is not None)


def largest_request(place: Place, run: str) -> Finding:
    """Send one line as long as the longest that wandb's client sends, then a short one in its place."""
    count = _steady_count(place, run)
    step = 2 * ROWS_PER_REQUEST
    long = _row(step, "x" * (LARGEST_LINE - len(_row(step, ""))))
    sent = f"a line of {len(long):,} bytes"
    try:
        place.stream(run, {HISTORY: (count, [long])})
    except ServerError as error:
        return finding("largest_request", f"{sent} is refused ({error})", holds=False)
    counted = place.until(lambda: _count(place, run), lambda rows: rows == count + 1)
    place.stream(run, {HISTORY: (count, [_row(step, NEW)])})
    found = f"{sent} is taken, and counted {when(counted.after, place.patience.showing)}"
    # It was not refused; whether it was lost later is for the count to say.
    return finding("largest_request", found, holds=True if counted.after is not None else None)


def summary_nan(place: Place, run: str, *, others_show: bool) -> Finding:
    """Send a summary with NaN and an infinity, and return how they come back.

    Parameters
    ----------
    others_show
        Whether an ordinary summary came back in time.
    """
    place.stream(run, {SUMMARY: (0, ['{"nan": NaN, "infinity": Infinity, "number": 1.5}'])})
    there = place.until(lambda: place.run(run), lambda run: run is not None and run.summary.get("number") == 1.5)
    if there.after is None:
        lost = "the summary that they are in does not come back"
        return finding("summary_nan", lost, holds=False if others_show else None)
    summary: dict[str, Any] = there.answer.summary if there.answer else {}
    values = {name: _kind(summary, name) for name in ("nan", "infinity")}
    words = ", ".join(f"{name}: {kind}" for name, kind in values.items())
    return finding("summary_nan", words, holds=all(kind in ("a number", "text") for kind in values.values()))


def states(place: Place, run: str) -> Finding:
    """Let the run end, go on, crash and fail, and return which state the server shows each time."""
    changes: dict[str, Callable[[], None]] = {
        "finished": lambda: place.stream(run, {}, complete=True, exitcode=0),
        "running": lambda: place.stream(run, {OUTPUT: (FEW, ["a made-up line"])}),
        "crashed": lambda: place.upsert(run, state="crashed"),
        "failed": lambda: place.stream(run, {}, complete=True, exitcode=1),
    }
    found: list[str] = []
    right = True
    for wanted, change in changes.items():
        try:
            change()
        except ServerError as error:
            found.append(f"{wanted}: refused ({error})")
            right = False
            continue
        shown = place.until(lambda: _state(place, run), lambda state, wanted=wanted: state == wanted)
        late = f"shown as {shown.answer}" if shown.after is None else f"after {shown.after:.1f} s"
        found.append(f"{wanted}: {late}")
        right = right and shown.after is not None
    return finding("states", ", ".join(found), holds=right)


def _row(step: int, value: float | str) -> str:
    return json.dumps({"_step": step, "_runtime": step, "_timestamp": 1.0, "value": value})


def _values(place: Place, run: str, step: int) -> list[Any]:
    return [row.get("value") for row in place.rows(run, step, step, 100) if row.get("_step") == step]


def _count(place: Place, run: str) -> int:
    there = place.run(run)
    return there.history_lines if there else 0


def _state(place: Place, run: str) -> str:
    there = place.run(run)
    return there.state if there else "not there"


def _steady_count(place: Place, run: str) -> int:
    """Return how many rows the server counts when that has not changed for `Patience.steady`."""
    count = _count(place, run)
    for _ in range(10):
        changed = place.until(lambda: _count(place, run), lambda now, count=count: now != count, place.patience.steady)
        if changed.after is None:
            break
        count = changed.answer
    return count


def _resent_in_words(place: Place, values: list[Any], after: float | None, rows: int) -> str:
    if after is not None and rows == ROWS_PER_REQUEST:
        return f"replaced after {after:.1f} s; {rows} rows, as before"
    if NEW in values:
        return f"there as well as the old one; {rows} rows, of {ROWS_PER_REQUEST} before"
    most = place.patience.showing
    return f"the old one is still there after {most:g} s; {rows} rows, of {ROWS_PER_REQUEST} before"


def _kind(summary: dict[str, Any], name: str) -> str:
    if name not in summary:
        return "left out"
    value = summary[name]
    return "null" if value is None else "text" if isinstance(value, str) else "a number"
