"""The file stream: history, system events, console output and summary, line by line with offsets.

What is known of the real server's side of it (from the client's source and from what the client does):

- A request names files, each with an offset and lines: the line at `offset + i` is set to the i-th line. A line sent
  again at its offset replaces the old one, so that a request whose answer was lost can be sent again (read: PR 12421).
- Of history and events the server keeps a cursor, which is where the last lines ended. An offset beyond it is rebased
  down to it, and a write at a low offset sets it back, while the lines after it stay (read: issue 12269, where 1 row at
  offset 0 of 20 and then 10 rows at offset 20 left the 10 rows at 1 to 10, and 20 rows in all).
- A request of more than about 10 MB is refused with 413 (read: issues 208 and 3701); what is counted is assumed to be
  its lines, as the client counts them.
- Of `wandb-summary.json` the last line counts.
- `complete` with `exitcode` ends the run: 0 is "finished", anything else "failed". A request without `complete`, also
  one with no content (a heartbeat), says that the run is running, and brings a run that had ended back (the client's
  source says so of `uploaded`; assumed for the rest).
- The answer is a JSON object; the client looks only at `stopped` in it (measured).

Assumed: the console's lines have no cursor, since the client rewrites single lines of it (a progress bar) and goes on
further down; the count of lines counts what is there; a run that was never announced is answered with 404, a malformed
request with 400, a wrong key with 401 in the form that GraphQL's errors have.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from runferry_standin.problems import RefusedError
from runferry_standin.runs import EVENTS_FILE, HISTORY_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin.behaviour import Behaviour
    from runferry_standin.store import Record, Store

SUMMARY_FILE = "wandb-summary.json"

LARGEST_INTEGER = 2**62
"""Beyond it SQLite cannot count lines or steps."""

WITH_CURSOR = (HISTORY_FILE, EVENTS_FILE)

Chunk = tuple[int, list[str]]

Rows = list[tuple[int, str]]
"""Lines with the positions that they get."""


class MalformedError(ValueError):
    """The request is not a file stream's; its text says why."""


class TooLargeError(RefusedError):
    """The request carries more than the server takes at once."""

    status = 413


def receive(
    store: Store,
    run: Record,
    request: Any,
    behaviour: Behaviour,
    distort: Callable[[int, list[str]], Rows] | None = None,
) -> None:
    """Store what a file stream request carries. Called inside a transaction.

    Parameters
    ----------
    distort
        What becomes of history lines at an offset, when a rule says that they are not kept as they are.

    Raises
    ------
    MalformedError, TooLargeError
        When it is not an object of the form above, or too large; nothing may be kept then.
    """
    if not isinstance(request, dict):
        message = f"expected a JSON object, found {type(request).__name__}"
        raise MalformedError(message)
    fields = cast("dict[str, Any]", request)
    changes: dict[str, Any] = {"heartbeat_at": store.now()}
    follows = behaviour.states == "followed" or run["state"] == "running"
    changes |= {"state": "running"} if follows else {}
    chunks = _chunks(fields)
    _measure(chunks, behaviour.largest_request)
    for file, chunk in chunks.items():
        offset, lines = _resent(store, (run, file), chunk, behaviour.resent)
        if file == SUMMARY_FILE:
            changes |= {"summary_metrics": lines[-1]} if lines else {}
            continue
        start = move_cursor(store, (run, file), offset, len(lines), rebase=behaviour.gaps == "rebased")
        if file == HISTORY_FILE:
            changes |= write_history(store, run, distort(start, lines) if distort else list(enumerate(lines, start)))
        else:
            _write_lines(store, run, file, [(start + i, None, line) for i, line in enumerate(lines)])
    if "preempting" in fields:
        changes["preempting"] = bool(fields["preempting"])
    if fields.get("complete"):
        exit_code = fields.get("exitcode") or 0
        changes |= {"exit_code": exit_code, "state": "failed" if exit_code else "finished"} if follows else {}
    columns = ", ".join(f"{column} = ?" for column in changes)
    store.write(f"UPDATE runs SET {columns} WHERE number = ?", *changes.values(), run["number"])


def move_cursor(store: Store, whose: tuple[Record, str], offset: int, count: int, *, rebase: bool) -> int:
    """Return where lines of a run's file that are sent for an offset go, and set the file's cursor behind them."""
    run, file = whose
    if file not in WITH_CURSOR or not count:
        return offset
    at = store.row("SELECT position FROM cursors WHERE run = ? AND file = ?", run["number"], file)
    if rebase:
        offset = min(offset, at["position"] if at else _end(store, run, file))
    store.write("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", run["number"], file, offset + count)
    return offset


def _end(store: Store, run: Record, file: str) -> int:
    return store.number(
        "SELECT coalesce(max(position) + 1, 0) FROM lines WHERE run = ? AND file = ?", run["number"], file
    )


def _resent(store: Store, whose: tuple[Record, str], chunk: Chunk, becomes: str) -> Chunk:
    """Return where lines go, and which of them, when those at offsets that have one already are not to replace it."""
    run, file = whose
    offset, lines = chunk
    if becomes == "replaced" or file not in WITH_CURSOR:
        return chunk
    end = _end(store, run, file)
    if offset >= end:
        return chunk
    return (end, lines) if becomes == "appended" else (end, lines[end - offset :])


def _measure(chunks: dict[str, Chunk], most: int | None) -> None:
    size = sum(len(line.encode(errors="surrogatepass")) for _, lines in chunks.values() for line in lines)
    if most is not None and size > most:
        message = f"the request carries {size} bytes of lines; expected at most {most}"
        raise TooLargeError(message)


def _chunks(request: dict[str, Any]) -> dict[str, Chunk]:
    files: Any = request.get("files") or {}
    try:
        return {name: _chunk(value) for name, value in files.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f'"files": expected names with "offset" and "content" (a list of lines), found {str(files)[:80]}'
        raise MalformedError(message) from error


def _chunk(value: Any) -> Chunk:
    offset, lines = value["offset"], value["content"]
    if not isinstance(offset, int) or not 0 <= offset < LARGEST_INTEGER or not isinstance(lines, list):
        raise ValueError
    if not all(isinstance(line, str) for line in cast("list[Any]", lines)):
        raise ValueError
    return offset, cast("list[str]", lines)


def write_history(store: Store, run: Record, placed: Rows) -> dict[str, Any]:
    """Write history lines at positions; gives what of the run's row changes by them."""
    last_step = run["last_step"]
    keys: dict[str, str] = json.loads(run["history_keys"])
    rows: list[tuple[int, int | None, str]] = []
    for position, line in placed:
        row = parse_line(line)
        step = row.get("_step")
        # The client writes a step as an integer; other tools may send it as a float.
        step = int(step) if isinstance(step, int) or (isinstance(step, float) and step.is_integer()) else None
        step = step if step is None or abs(step) < LARGEST_INTEGER else None
        if step is not None and (last_step is None or step > last_step):
            last_step = step
        if not row.keys() <= keys.keys():
            keys |= {key: _type_name(value) for key, value in row.items()}
        rows.append((position, step, line))
    _write_lines(store, run, HISTORY_FILE, rows)
    return {"last_step": last_step, "history_keys": json.dumps(keys)}


def _write_lines(store: Store, run: Record, file: str, rows: list[tuple[int, int | None, str]]) -> None:
    store.write_many(
        "INSERT OR REPLACE INTO lines (run, file, position, step, line) VALUES (?, ?, ?, ?, ?)",
        ((run["number"], file, position, step, line) for position, step, line in rows),
    )


def parse_line(line: str) -> dict[str, Any]:
    """Return a history or events line as a dict; empty when it is not a JSON object or is too deep to be read."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _type_name(value: Any) -> str:
    # The names that the real server's `historyKeys` uses, as far as they are known.
    if isinstance(value, bool | int | float):
        return "number"
    if isinstance(value, dict):
        kind = cast("dict[str, Any]", value).get("_type")
        return kind if isinstance(kind, str) else "map"
    return "list" if isinstance(value, list) else "string"
