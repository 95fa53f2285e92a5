"""Read the rows of a run back from a W&B server and compare them with the disk, number by number.

Nothing that a server counts is asked for here: counts come late, the rows themselves do not (assumed).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from runferry.sync.wandb.comparison import NOT_COMPARED, same
from runferry.system.values import batches
from runferry.trackers.wandb.log.records import history_records
from runferry.trackers.wandb.log.rows import nested_row, step_behind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runferry.sync.wandb.local import OnDisk
    from runferry.trackers.wandb.server import Server

ROWS_PER_REQUEST = 1000
"""As many as wandb's own scan of a history asks for."""
ALL_ROWS = 2000
"""A run of at most so many rows is read back whole."""
SAMPLE_ROWS = 250
"""Of a longer one so many rows are read back at its beginning, at its end and at each of two places between."""
FARTHEST_STEP = 2**53
"""Beyond every step: what lies behind the last row is seen, too."""

Row = tuple[int, int, dict[str, Any]]
"""Number in the whole run, counted from 0; the step that it has on the server; the row."""


@dataclass(frozen=True)
class RowDifference:
    """The first row at which server and disk differ.

    Attributes
    ----------
    number
        Of the row in the whole run, counted from 0.
    line
        What differs.
    foreign
        Whether the server's rows are of another training: none of the first ones was logged when ours were. A long
        run's sample does not tell.
    more
        Whether all rows of the disk are there and others behind them.
    """

    number: int
    line: str
    foreign: bool = False
    more: bool = False


def find_difference(disk: OnDisk, server: Server, place: tuple[str, str], begin: int = 0) -> RowDifference | None:
    """Compare every row from number `begin` on that can be read on this disk; return the first difference.

    Parameters
    ----------
    place
        The run's entity and project.

    Raises
    ------
    ServerError
        When the server cannot be asked.
    """
    rows = numbered_rows(disk)
    skipped = max(begin - disk.lines_before, 0)
    after = disk.last_step_before
    for _, step, _ in islice(rows, skipped):
        after = step
    held = _Held(disk, server, place)
    foreign: bool | None = None
    for page in batches(rows, ROWS_PER_REQUEST):
        found, there = held.difference(after, page)
        if foreign is None:
            foreign = _of_another_training(page, there)
        if found:
            return replace(found, foreign=foreign)
        after = page[-1][1]
    return None


def find_sampled_difference(disk: OnDisk, server: Server, place: tuple[str, str]) -> RowDifference | None:
    """Compare the rows of a long run at its ends and at two places between that differ each time.

    Raises
    ------
    ServerError
        When the server cannot be asked.
    """
    held = _Held(disk, server, place)
    for window in _sample(disk.lines_before, disk.history_lines):
        rows = _rows_of(disk, window)
        if not rows:
            continue
        # The row before it is read only for its step.
        before, page = (None, rows) if rows[0][0] == window.start else (rows[0], rows[1:])
        after = before[1] if before else disk.last_step_before
        if found := held.difference(after, page)[0]:
            return found
    return None


def is_long(disk: OnDisk) -> bool:
    """Return whether a run is read back in part only, where nothing else is asked for.

    One whose steps begin again in a later segment is not: each row's step depends on all before it.
    """
    last = disk.last_step_before
    for segment in disk.segments:
        if segment.first_step is None or segment.last_step is None:
            continue
        if segment.first_step <= last:
            return False
        last = segment.last_step
    return disk.history_lines - disk.lines_before > ALL_ROWS


def numbered_rows(disk: OnDisk) -> Iterator[Row]:
    """Yield every row that can be read, as the server is to have it (see `OnDisk.steps`)."""
    last, number = disk.last_step_before, disk.lines_before
    for segment in disk.segments:
        for record in history_records(segment.file):
            row = nested_row(record)
            last = step_behind(last, row)
            yield number, last, row
            number += 1


def _rows_of(disk: OnDisk, window: range) -> list[Row]:
    """Return the rows of a window and the one before it, and parse no others; steps only go up (see `is_long`)."""
    found: list[Row] = []
    number = disk.lines_before
    for segment in disk.segments:
        if number + segment.history_count >= window.start and number < window.stop:
            first, last = max(window.start - 1 - number, 0), window.stop - number
            records = enumerate(history_records(segment.file), number)
            for at, row in islice(records, first, last):
                read = nested_row(row)
                found.append((at, int(read["_step"]), read))
        number += segment.history_count
    return found


def _sample(first: int, end: int) -> list[range]:
    """Return windows of row numbers: the ends, and a place in each half."""
    middle = (first + end) // 2
    halves = ((first + SAMPLE_ROWS, middle), (middle, end - SAMPLE_ROWS))
    chosen = random.SystemRandom()
    starts = [chosen.randrange(begin, max(stop - SAMPLE_ROWS, begin + 1)) for begin, stop in halves]
    windows = [first, *starts, end - SAMPLE_ROWS]
    return [range(start, min(start + SAMPLE_ROWS, end)) for start in windows]


@dataclass(frozen=True)
class _Held:
    """Asks for the rows that the server holds of one run."""

    disk: OnDisk
    server: Server
    place: tuple[str, str]

    def difference(self, after: int, page: Sequence[Row]) -> tuple[RowDifference | None, list[dict[str, Any]]]:
        """Compare rows that come after a step; return the server's rows, too."""
        # From where the last page ended, so that a row between two pages is seen; twice as many, so that doubled are.
        end = FARTHEST_STEP if page[-1][0] + 1 == self.disk.history_lines else page[-1][1]
        held = self.server.rows(*self.place, self.disk.run_id, (after + 1, end), 2 * len(page) + 1)
        return _compare(page, held), held


def _compare(page: Sequence[Row], held: Sequence[dict[str, Any]]) -> RowDifference | None:
    for at, (number, step, row) in enumerate(page):
        if at >= len(held) or held[at].get("_step") != step:
            return RowDifference(number, f"the server's rows are not the disk's from step {step} on")
        if not all(same(value, held[at].get(name)) for name, value in row.items() if name not in NOT_COMPARED):
            return RowDifference(number, f"the server's row of step {step} is not the disk's")
    if len(held) > len(page):
        line = f"the server has rows after step {page[-1][1]} that the disk has not"
        return RowDifference(page[-1][0] + 1, line, more=True)
    return None


def _of_another_training(page: Sequence[Row], held: Sequence[dict[str, Any]]) -> bool:
    """Tell whether none of the server's rows was logged at the time of one of ours (wandb notes it in each row)."""
    ours = {row["_timestamp"] for _, _, row in page if "_timestamp" in row}
    theirs = {row["_timestamp"] for row in held if "_timestamp" in row}
    return bool(ours and theirs) and not ours & theirs
