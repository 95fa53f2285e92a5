"""Compare the rows that a run's attempts logged with those that its segments hold."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from runferry.sync.wandb.gone_for_good import NEVER_WRITTEN, OF_LAUNCHER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from runferry.runs.attempt_record import AttemptRecord
    from runferry.runs.folder import RunFolder
    from runferry.trackers.wandb.log.segment import Segment


def lost_rows(
    folder: RunFolder, segments: Mapping[str, Sequence[Segment]], known: Collection[str]
) -> dict[str, list[str]]:
    """Return the segments that lack rows, a line for each, by the W&B run; what has none on disk is the first one's.

    Parameters
    ----------
    folder
        Of the run; the records of its attempts have how many rows passed on their way to the disk, by segment.
    segments
        What is on disk of each W&B run, the first one first.
    known
        Names of segments that hold nothing here, which is said, or was deleted after the server had it.

    Returns
    -------
    dict
        Only W&B runs that lack rows.
    """
    there = {segment.name: (run, segment) for run, found in segments.items() for segment in found}
    first = next(iter(segments))
    found: dict[str, list[str]] = defaultdict(list)
    for attempt in folder.attempts():
        # Of each segment here what is said is taken from the disk as it is now.
        settled = set(known)
        for name, logged in _rows(attempt):
            run, segment = there.get(name, (first, None))
            held = segment.history_count + segment.left_out_count if segment else 0
            if name not in settled and held < logged:
                of = f"{logged - held:,} of the {logged:,} rows of {name}"
                found[run].append(f"{of} (attempt {attempt.attempt}) {NEVER_WRITTEN}")
                settled.add(name)
            elif segment and segment.exit_code is not None:
                settled.add(name)
        found[first] += [
            f"{line} {OF_LAUNCHER}" for line in attempt.missing if not any(name in line for name in settled)
        ]
    return {run: lines for run, lines in found.items() if lines}


def _rows(attempt: AttemptRecord) -> Iterator[tuple[str, int]]:
    for name, logged in (attempt.rows or {}).items():
        if isinstance(logged, int):
            yield name, logged
