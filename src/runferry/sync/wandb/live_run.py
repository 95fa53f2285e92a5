"""Read the new rows of one run while it trains, and keep the position up to which its segments were read.

The place of each row on the server is its number in the run, counted from 0 through all segments, and its step is the
one that `wandb sync` would give it (`OnDisk.steps`). So the sync at the end finds just the beginning of the run there,
and sends the rest.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runferry.errors import SegmentError
from runferry.runs.folder import wandb_run_of
from runferry.runs.read_position import ReadPosition
from runferry.sync.wandb.file_stream import BYTES_PER_REQUEST
from runferry.system.values import is_mapping
from runferry.trackers.wandb.deleted import read_cleaned
from runferry.trackers.wandb.log.messages import parser, path_of
from runferry.trackers.wandb.log.records import left_out_row
from runferry.trackers.wandb.log.rows import as_json, nested_row, set_item, step_behind
from runferry.trackers.wandb.log.segment import find_log
from runferry.trackers.wandb.log.tail import LogTail
from runferry.trackers.wandb.renamed import read_renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runferry.runs.folder import RunFolder


ROWS_AT_ONCE = 1000
SETTLED_SECONDS = 15.0
"""For which a segment must not have grown before the next one is begun: a killed attempt's processes may write on."""


class LiveRun:
    """A run that live sync follows.

    Attributes
    ----------
    folder : RunFolder
    read : ReadPosition
    lines : list of str
        Rows that have been read and not been sent yet, as JSON; the last one is number `read.rows - 1`.
    config_changed, summary_changed : bool
        Whether the server has not been told the newest.
    problem : str or None
        Why no more of the run is sent before it has ended.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.read = self._beginning()
        self.lines: list[str] = []
        self.config_changed = self.summary_changed = False
        self.problem: str | None = None
        self._saved_position = 0
        self._parse = parser("Record")

    def restore(self) -> None:
        """Continue at the position of an earlier process, where its state fits the disk."""
        read = ReadPosition.read(self.folder)
        # It is there to save time; without it everything is read again.
        with suppress(OSError, TypeError, SegmentError):
            if read and find_log(self.folder.wandb_folder / read.segment).stat().st_size >= read.position:
                self.read = read

    def save(self, *, at_least: int = 0) -> None:
        """Write the state, if all rows that were read have been sent and `at_least` bytes are new."""
        if self.lines or not self.read.segment or abs(self.read.position - self._saved_position) < at_least:
            return
        self.read.write(self.folder)
        self._saved_position = self.read.position

    def start_again(self) -> None:
        """Return to the beginning, to read everything again: the server has fewer rows than the state says."""
        self.read, self.lines = self._beginning(), []

    def _beginning(self) -> ReadPosition:
        """Begin behind what was deleted of the run."""
        cleaned = read_cleaned(self.folder)
        if cleaned is None:
            return ReadPosition()
        last = -1 if cleaned.last_step is None else cleaned.last_step
        rows, seconds = cleaned.history_lines, float(cleaned.seconds)
        return ReadPosition("", 0, rows, last, seconds, config=dict(cleaned.config), summary=dict(cleaned.summary))

    def newest(self) -> Path | None:
        """Return the log of the newest segment; None without segments."""
        segments = self.folder.segments()
        try:
            return find_log(segments[-1]) if segments else None
        except SegmentError:
            return None

    def look(self) -> bool:
        """Read new rows, `ROWS_AT_ONCE` at most; return whether there may be more.

        Raises
        ------
        OSError
            When a log cannot be read.
        """
        while self.problem is None:
            # Of several W&B runs of a job only the first is live: the sync at the end carries the others.
            first = self.read.segment or next((segment.name for segment in self.folder.segments()), "")
            segments = self.folder.segments(wandb_run_of(first))
            names = [segment.name for segment in segments]
            self.read.segment = self.read.segment or next(iter(names), "")
            if not self.read.segment or not self._is_sent_here(names):
                return False
            number = names.index(self.read.segment)
            try:
                log = find_log(segments[number])
            except SegmentError:
                # A folder that was made just now has no log yet.
                return False
            if self._read(log):
                return True
            if number + 1 == len(names) or time.time() - log.stat().st_mtime < SETTLED_SECONDS:
                return False
            self.read.seconds_before += int(self.read.runtime)
            self.read.segment, self.read.position, self.read.runtime = names[number + 1], 0, 0.0
        return False

    def _is_sent_here(self, names: list[str]) -> bool:
        if any(not name.startswith("offline-") for name in names):
            self.problem = "it is online: wandb sends it itself"
        elif self.read.segment not in names:
            self.problem = f"its segment {self.read.segment} is gone"
        return self.problem is None

    def forget_rows_before(self, number: int) -> None:
        """Remove the rows that the server has from `lines`: those with a smaller number."""
        first = self.read.rows - len(self.lines)
        self.lines = self.lines[max(number - first, 0) :]

    def _read(self, log: Path) -> bool:
        tail = LogTail(log, self.read.position)
        full = False
        for payload in tail:
            self.read.position = tail.position
            self._take(payload)
            if len(self.lines) >= ROWS_AT_ONCE or sum(map(len, self.lines[-1:])) > BYTES_PER_REQUEST:
                full = True
                break
        self.read.position = tail.position
        if tail.unreadable:
            self.problem = f"{log}: {tail.position} bytes can be read so far, then come some that cannot"
        return full

    def _take(self, payload: bytes) -> None:
        try:
            record = self._parse(payload)
        except DecodeError:
            return
        read = self.read
        if left_out_row(payload):
            return
        if record.HasField("history"):
            row = nested_row(record.history)
            read.last_step = step_behind(read.last_step, row)
            read.runtime = float(row.get("_runtime", read.runtime))
            row |= {"_step": read.last_step, "_runtime": read.seconds_before + read.runtime}
            self.lines.append(as_json(row))
            read.rows += 1
            read.summary |= row
            self.summary_changed = True
        elif record.HasField("summary"):
            _update(read.summary, record.summary)
            self.summary_changed = True
        elif record.HasField("config"):
            _update(read.config, record.config)
            self.config_changed = True
        elif record.HasField("run"):
            for name in ("run_id", "entity", "project", "run_group", "display_name"):
                if value := getattr(record.run, name):
                    read.run[name] = value
            if record.run.tags:
                read.run["tags"] = list(record.run.tags)
            _update(read.config, record.run.config)
            self.config_changed = True


def _update(tree: dict[str, Any], record: Any) -> None:
    for item in record.update:
        set_item(tree, item)
    for item in record.remove:
        *above, key = path_of(item)
        node: Any = tree
        for name in above:
            node = node.get(name) if is_mapping(node) else None
        if is_mapping(node):
            node.pop(key, None)


@dataclass(frozen=True)
class LiveOptions:
    """The options of live sync."""

    interval: float = 30.0
    """Seconds between two looks at the disk."""
    parallel: int = 34
    """Requests at once."""
    controller: int | None = None
    """A process with which it ends; None goes on until it is told to stop."""
    sync_ended: Callable[[Sequence[RunFolder]], None] | None = None
    """Called at each look with the runs that have ended since the last one, to have them synced; at the first look with
    all that have. None leaves that to others (the workflow's rules)."""
    attempts_follow: bool = False
    """Whether somebody starts another attempt of a run that was cut short, so that it is shown as running meanwhile."""


@dataclass
class Followed:
    """A followed run, its place, and what the server was told of it."""

    run: LiveRun
    base_url: str | None
    project: str
    entity: str = ""
    wandb_config: dict[str, Any] = field(default_factory=dict[str, Any])
    """wandb's own part of the config, which the sync of an earlier attempt has sent: it is kept."""
    begun: bool = False
    """Whether the server was asked what it has, and has the run."""
    spoken: float = 0.0
    """When the last request was made, by the clock that never jumps."""
    pause: float = 0.0
    """Seconds until the next heartbeat, where nothing is new."""
    said: set[str] = field(default_factory=set[str])

    @property
    def place(self) -> tuple[str, str, str]:
        """Return entity, project and id of the W&B run."""
        written = str(self.run.read.run["run_id"])
        return self.entity, self.project, read_renamed(self.run.folder).get(written) or written

    def read(self) -> bool:
        """Read new rows from the disk; return whether there are more to read."""
        try:
            return self.run.look()
        except OSError as error:
            self.run.problem = f"{error.filename}: {error.strerror}"
            return False
        except SegmentError as error:
            self.run.problem = str(error)
            return False

    def pass_over(self, rows: int) -> None:
        """Skip rows that the server has; note a problem where the server has more than the disk."""
        run = self.run
        while run.read.rows < rows and self.read():
            run.forget_rows_before(rows)
        run.forget_rows_before(rows)
        if run.read.rows < rows and not run.problem:
            run.problem = f"the server has {rows} rows of it, the disk {run.read.rows}"

    def fields(self) -> dict[str, Any]:
        """Return the UpsertBucket fields of the run: its config with W&B's own section, group, name and tags."""
        run = self.run.read
        config = {key: {"value": value} for key, value in (run.config | {"_wandb": self.wandb_config}).items()}
        known = {"groupName": "run_group", "displayName": "display_name", "tags": "tags"}
        fields = {theirs: run.run[ours] for theirs, ours in known.items() if ours in run.run}
        return {"config": as_json(config), **fields}
