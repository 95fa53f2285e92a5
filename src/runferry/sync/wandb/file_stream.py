"""Send lines of a run to their own positions on a W&B server, which `wandb sync` cannot: it only appends.

It is W&B's own way, the file stream: a request names a file, an offset and lines, and the line at `offset + i` becomes
the i-th of them. That a line which is sent again at its offset replaces itself is what wandb's client relies on when it
sends a request again whose answer was lost. Of W&B's own server nothing more is known (assumed: it is so for lines
that were sent long ago, too). So this is done only where a run has a gap that nothing else fills, and all rows are read
back and compared afterwards.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from runferry.sync.wandb.comparison import NOT_COMPARED
from runferry.trackers.wandb.log.console import CONSOLE_FILE, console_lines
from runferry.trackers.wandb.log.records import LARGEST_LINE
from runferry.trackers.wandb.log.rows import as_json, history_lines, step_behind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runferry.sync.wandb.local import OnDisk
    from runferry.trackers.wandb.queries import RunOnServer
    from runferry.trackers.wandb.server import Server

HISTORY_FILE = "wandb-history.jsonl"
SUMMARY_FILE = "wandb-summary.json"
LINES_PER_REQUEST = 1000
BYTES_PER_REQUEST = 4_000_000
"""Of lines; W&B's server takes requests of some 10 MB (issues 208 and 3701 of its client), in which quotes count twice.
A line that has more goes alone."""


def in_requests(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield lines in lists that one request each can take, by their number and bytes."""
    batch: list[str] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == LINES_PER_REQUEST or size + len(line) > BYTES_PER_REQUEST):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line) if line.isascii() else len(line.encode())
    if batch:
        yield batch


def fill(disk: OnDisk, server: Server, place: tuple[str, str], first: int) -> None:
    """Send every row from number `first` on, counted from 0, each to its own position, and end the run.

    Raises
    ------
    ServerError
        When the server cannot be reached or refuses it.
    """
    offset = first
    for lines in in_requests(islice(_lines(disk), first - disk.lines_before, None)):
        chunk = {"offset": offset, "content": lines}
        server.stream(*place, disk.run_id, {"files": {HISTORY_FILE: chunk}})
        offset += len(lines)
    server.stream(*place, disk.run_id, _end(disk))


def send_console(disk: OnDisk, server: Server, place: tuple[str, str]) -> None:
    """Send every line that the run printed to its own position, those of a later segment after the earlier one's.

    Raises
    ------
    ServerError
        When the server cannot be reached or refuses it.
    """
    lines = chain.from_iterable(console_lines(segment.file) for segment in disk.segments)
    offset = disk.before.output_lines if disk.before else 0
    for batch in in_requests(line.as_sent() for line in lines):
        chunk = {"offset": offset, "content": batch}
        server.stream(*place, disk.run_id, {"files": {CONSOLE_FILE: chunk}})
        offset += len(batch)
    server.stream(*place, disk.run_id, _end(disk))


def complete_summary(disk: OnDisk, server: Server, place: tuple[str, str], there: RunOnServer) -> None:
    """Send the last values of all segments: `wandb sync` leaves only the last segment's in a resumed run.

    Raises
    ------
    ServerError
        When the server cannot be reached or refuses it.
    """
    ours = {name: value for name, value in disk.summary.items() if name not in NOT_COMPARED}
    # wandb's own values are left as they are, where the server has them.
    summary = as_json({**disk.summary, **there.summary, **ours})
    if len(summary) > LARGEST_LINE:
        # As wandb's own client: the comparison says why it is not there.
        return
    chunk = {"offset": 0, "content": [summary]}
    server.stream(*place, disk.run_id, {"files": {SUMMARY_FILE: chunk}, **_end(disk)})


def _end(disk: OnDisk) -> dict[str, Any]:
    exit_code = disk.segments[-1].exit_code
    return {"complete": True, "exitcode": 1 if exit_code is None else exit_code}


def _lines(disk: OnDisk) -> Iterator[str]:
    last, seconds_before = disk.last_step_before, float(disk.before.seconds if disk.before else 0)
    for segment in disk.segments:
        runtime = 0.0
        for row in history_lines(segment.file):
            last = step_behind(last, row)
            runtime = float(row.get("_runtime", runtime))
            yield as_json(row | {"_step": last, "_runtime": seconds_before + runtime})
        # wandb lets a resumed run go on at the whole second at which it had stopped.
        seconds_before += int(runtime)
