"""Read a segment: the run it belongs to, its history, summary, config and how it ended.

A segment is one `offline-run-*` folder, or `run-*` where the run was online; what was logged is in its
`run-<id>.wandb`, a transaction log of protobuf messages (`framing`, `messages`).

A segment as a killed job leaves it, of one row and without an exit record:

>>> from pathlib import Path
>>> from runferry.trackers.wandb.log.framing import write_log
>>> from runferry.trackers.wandb.log.messages import message_class
>>> run, row = (message_class("Record")(num=number) for number in (1, 2))
>>> run.run.run_id = "k3j9x2ab"
>>> _ = row.history.item.add(key="_step", value_json="0"), row.history.item.add(key="loss", value_json="0.5")
>>> folder = Path("wandb/offline-run-20261127_061826-k3j9x2ab")
>>> write_log(folder / "run-k3j9x2ab.wandb", [run.SerializeToString(), row.SerializeToString()])
2
>>> segment = read_segment(folder)
>>> segment.run_id, segment.history_count, segment.last_step, segment.exit_code
('k3j9x2ab', 1, 0, None)
>>> list(history(folder))
[{'_step': 0, 'loss': 0.5}]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.errors import SegmentError
from runferry.trackers.wandb.log.framing import TransactionLog
from runferry.trackers.wandb.log.last_values import tree
from runferry.trackers.wandb.log.records import (
    LARGEST_LINE,
    Collected,
    LoggedArtifact,
    at_home,
    history_records,
    row_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class Segment:
    """One segment, as far as it can be read.

    Attributes
    ----------
    name : str
        The folder's name, `offline-run-<time>-<id>`, or `run-<time>-<id>` of an online run.
    folder, file : Path
        The folder, and the transaction log in it.
    size_bytes : int
        Size of the transaction log.
    run_id : str
        From the run's record; from the file's name in a segment without one.
    has_run : bool
        Whether the segment has the record of its run: without one nothing of it can be sent.
    entity, project, group, display_name : str
        Empty where the run was given none.
    tags : tuple of str
    started : datetime or None
        When `wandb.init` was called, UTC.
    wandb_version : str or None
        Of the wandb that wrote it, such as "0.27.2".
    resume : bool
        Whether the segment itself says that it may continue a run (`resume=allow` and the like). wandb
        writes this from 0.31 on; in an older one's segment it is False whatever was asked for.
    history_count : int
        Number of history rows that can be read.
    first_step, last_step : int or None
        Steps of the first and the last row; None without rows.
    summary : dict
        As W&B has it, with wandb's own keys (`_step`, `_runtime`, `_timestamp`, `_wandb`); the last value of
        each metric where the file has no summary.
    config : dict
        Without `_wandb`, where wandb keeps its own.
    exit_code : int or None
        None when there is no exit record: the run goes on, or was killed together with wandb-core.
    ended_twice : bool
        Whether there is another exit record behind the first, which counts.
    files : tuple of str
        Paths (or globs) below the segment's `files` folder that the run wants uploaded.
    artifacts : tuple of LoggedArtifact
        What the run logged with `log_artifact`, and wandb by itself for a `wandb.Table`.
    record_count : int
        Number of records of all kinds that can be read.
    lost_records : int
        Records that are missing before the last one that can be read, by their numbers.
    left_out_count : int
        Rows that W&B's client sends to no server for their size; they are not among `history_count`.
    damage : str or None
        What could not be read, in a few words.
    whole : bool
        Whether no bytes in it are unreadable but for a record that was not written to its end, as a kill leaves it.
    """

    name: str
    folder: Path
    file: Path
    size_bytes: int
    run_id: str
    has_run: bool = True
    entity: str = ""
    project: str = ""
    group: str = ""
    display_name: str = ""
    tags: tuple[str, ...] = ()
    started: datetime | None = None
    wandb_version: str | None = None
    resume: bool = False
    history_count: int = 0
    first_step: int | None = None
    last_step: int | None = None
    summary: dict[str, Any] = field(default_factory=dict[str, Any])
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    exit_code: int | None = None
    ended_twice: bool = False
    files: tuple[str, ...] = ()
    artifacts: tuple[LoggedArtifact, ...] = ()
    record_count: int = 0
    lost_records: int = 0
    left_out_count: int = 0
    damage: str | None = None
    whole: bool = True

    @property
    def online(self) -> bool:
        """Return whether wandb sent the segment to the server while it was written."""
        return not self.name.startswith("offline-")

    @property
    def empty(self) -> bool:
        """Return whether the segment has no records: the process was killed before one was written."""
        return self.record_count == 0


def find_log(path: Path) -> Path:
    """Find the transaction log of a segment: `path` itself, or the `run-<id>.wandb` in the folder `path`.

    Raises
    ------
    SegmentError
        When there is none, or more than one.
    """
    if not path.is_dir():
        return path
    found = sorted(path.glob("run-*.wandb"))
    if len(found) != 1:
        what = "no run-*.wandb" if not found else f"{len(found)} files run-*.wandb"
        message = f"{path}: found {what} in it, expected one: give a folder offline-run-* as wandb writes it"
        raise SegmentError(message)
    return found[0]


def read_segment(path: Path, also: Callable[[bytes], None] | None = None) -> Segment:
    """Read the segment at `path` (its folder or the log in it), except for the rows of its history.

    Parameters
    ----------
    also
        Takes each record too, undecoded, while the log is read.

    Raises
    ------
    SegmentError
        When there is no transaction log, it cannot be read, or it is something else. An empty one is a
        `Segment` whose `empty` is true.
    """
    file = find_log(path)
    log = TransactionLog(file)
    collected = Collected()
    try:
        size_bytes = file.stat().st_size
        for payload in log:
            collected.add(payload)
            if also is not None:
                also(payload)
    except OSError as error:
        raise _unreadable(file, error) from error
    run = collected.run
    last_values = collected.summary_is_empty and collected.history_count > 0
    summary = _last_values(file) if last_values else tree(collected.summary.texts)
    damage = [str(log.damage)] if log.damage else []
    if undecodable := collected.undecodable:
        damage.append(f"{undecodable} record{_plural(undecodable)} not W&B's")
    if damage and collected.lost_records:
        damage.append(f"{collected.lost_records} record{_plural(collected.lost_records)} lost")
    for step, size in collected.left_out[:3]:
        damage.append(f"the row of step {step} has {size:,} bytes; W&B's client sends none over {LARGEST_LINE:,}")
    if len(collected.left_out) > 3:
        damage.append(f"{len(collected.left_out) - 3} more such rows")
    return Segment(
        name=file.parent.name,
        folder=file.parent,
        file=file,
        size_bytes=size_bytes,
        run_id=run.get("run_id") or file.stem.removeprefix("run-"),
        has_run=bool(run.get("run_id")),
        entity=run.get("entity", ""),
        project=run.get("project", ""),
        group=run.get("run_group", ""),
        display_name=run.get("display_name", ""),
        tags=run.get("tags", ()),
        started=run.get("start_time"),
        wandb_version=collected.wandb_version,
        resume=bool(run.get("resume") or run.get("resumed")),
        history_count=collected.history_count,
        first_step=collected.first_step,
        last_step=collected.last_step,
        summary=summary,
        config=tree({path: text for path, text in collected.config.texts.items() if path[0] != "_wandb"}),
        exit_code=collected.exit_code,
        ended_twice=collected.exits > 1,
        files=tuple(collected.files),
        artifacts=tuple(at_home(each, file.absolute().parent.parent.parent) for each in collected.artifacts),
        record_count=collected.record_count,
        lost_records=collected.lost_records,
        left_out_count=len(collected.left_out),
        damage="; ".join(damage) or None,
        whole=not (log.damage.skipped_places or collected.undecodable),
    )


def history(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of the history of the segment at `path`, in the order in which they were logged.

    A row holds what `log()` was given, by metric, and wandb's `_step`, `_runtime` (s) and `_timestamp` (s
    since 1970). A nested metric's key is joined with dots, as W&B shows it. Values are what JSON makes of
    them; NaN and the infinities are floats. Rows that cannot be read are left out (`Segment.damage` says
    so).

    Raises
    ------
    SegmentError
        As `read_segment` does.
    """
    file = find_log(path)
    try:
        for record in history_records(file):
            yield row_of(record)
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> SegmentError:
    return SegmentError(f"{file}: expected a file that can be read, found: {error.strerror}")


def _last_values(file: Path) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for row in history(file):
        last.update(row)
    return last


def _plural(count: int) -> str:
    return "" if count == 1 else "s"
