"""Collect the run, rows, files and artifacts from a segment's records."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runferry.system.values import decode_all, decode_or_keep
from runferry.trackers.wandb.log.framing import TransactionLog
from runferry.trackers.wandb.log.last_values import LastValues, summary_bytes
from runferry.trackers.wandb.log.messages import name_of, parser, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class LoggedArtifact:
    """A version of an artifact that a run logged; `digest` is W&B's own, over its files."""

    type: str
    name: str
    digest: str
    staged: tuple[str, ...] = field(default=(), compare=False)
    """Where its files lay when it was logged, until they are sent."""
    aliases: frozenset[str] = field(default=frozenset(), compare=False)
    """But for `latest`, which every new version takes from the one before."""
    tags: frozenset[str] = field(default=frozenset(), compare=False)
    incremental: bool = False
    """Whether it is what is added to the version before: the server's digest is over both."""
    moved: bool = field(default=False, compare=False)
    """Whether staged files lie elsewhere now than the log says: the results folder was moved, or copied from a site."""


def staged_at(path: str, run_folder: Path) -> str:
    """Return where a file of an artifact lies now: where the log says, else at the same place of the run's folder.

    Parameters
    ----------
    path
        As the log says, on the machine that trained.
    run_folder
        `results/<experiment>/<run>` here.
    """
    name = f"/{run_folder.parent.name}/{run_folder.name}/"
    if name not in path or os.path.exists(path):  # noqa: PTH110 - as many as an artifact has files
        return path
    here = run_folder / path.rpartition(name)[2]
    return str(here) if here.exists() else path


def at_home(artifact: LoggedArtifact, run_folder: Path) -> LoggedArtifact:
    """Return an artifact whose staged files are named where they lie now (see `staged_at`)."""
    staged = tuple(staged_at(path, run_folder) for path in artifact.staged)
    return artifact if staged == artifact.staged else replace(artifact, staged=staged, moved=True)


LARGEST_LINE = 10_383_360
"""Bytes of a row or a summary as JSON beyond which W&B's client leaves it out, with a line in its own log only (read in
its source; measured with 0.31, online and synced)."""


def left_out_row(payload: bytes) -> tuple[int, int] | None:
    """Return step and size in bytes of a row that W&B's client leaves out for its size; None for any other record."""
    if len(payload) < LARGEST_LINE // 2:
        return None
    try:
        record = parser("HistoryOnly")(payload)
    except DecodeError:
        return None
    if not record.HasField("history"):
        return None
    # Each as "key":value, (a row that is within some bytes of the limit may go either way, and is not verified then)
    size = sum(len(item.value_json.encode()) + len(path_of(item)[-1].encode()) + 4 for item in record.history.item)
    return (_step(record.history), size) if size > LARGEST_LINE else None


class Collected:
    """The joint contents of a log's records, added one after the other."""

    def __init__(self) -> None:
        self._parse = parser("Record")
        self._last = b""
        self._not_parsed = 0
        self._first_row: Any = None
        self._last_row: Any = None
        self.run: dict[str, Any] = {}
        self.summary = LastValues()
        self.config = LastValues()
        self.files: dict[str, None] = {}
        self.exit_code: int | None = None
        self.exits = 0
        self.wandb_version: str | None = None
        self.history_count = 0
        self._artifacts: dict[LoggedArtifact, LoggedArtifact] = {}
        self.left_out: list[tuple[int, int]] = []
        """Step and size of each row that W&B's client leaves out."""
        self._count = 0

    @property
    def artifacts(self) -> list[LoggedArtifact]:
        """Return each version that was logged."""
        return list(self._artifacts.values())

    @property
    def undecodable(self) -> int:
        """Count the records that cannot be decoded."""
        return self._not_parsed + self.summary.undecodable

    @property
    def record_count(self) -> int:
        """Count the records that can be read."""
        return self._count - self.summary.undecodable

    @property
    def lost_records(self) -> int:
        """Count the records that are missing, by the number of the last one."""
        # wandb-core numbers the records of a file from 1 without a gap.
        return max(self._parse(self._last).num - self.record_count, 0)

    @property
    def summary_is_empty(self) -> bool:
        """Return whether nothing was logged into the summary."""
        # A run that has just begun already has these two.
        return all(path[0] in {"_wandb", "_runtime"} for path in self.summary.texts)

    @property
    def first_step(self) -> int | None:
        """Return the step of the first row; None without rows."""
        return None if self._first_row is None else _step(self._first_row)

    @property
    def last_step(self) -> int | None:
        """Return the step of the last row; None without rows."""
        return None if self._last_row is None else _step(self._last_row)

    def add(self, payload: bytes) -> None:
        """Add the next record of the file."""
        if summary := summary_bytes(payload):
            self._count += 1
            self._last = payload
            self.summary.add_bytes(summary)
            return
        try:
            record = self._parse(payload)
        except DecodeError:
            self._not_parsed += 1
            return
        self._count += 1
        self._last = payload
        self._add_record(record, payload)

    def _add_record(self, record: Any, payload: bytes) -> None:
        if record.HasField("history"):
            if left_out := left_out_row(payload):
                self.left_out.append(left_out)
                return
            self.history_count += 1
            self._last_row = record.history
            self._first_row = self._first_row or self._last_row
        elif record.HasField("summary"):
            self.summary.add(record.summary)
        elif record.HasField("config"):
            self.config.add(record.config)
        elif record.HasField("run"):
            self._add_run(record.run)
        elif record.HasField("files"):
            self.files.update((item.path, None) for item in record.files.files)
        elif record.HasField("artifact"):
            self._add_artifact(record.artifact)
        elif record.HasField("header"):
            # As in 0.27.2+<commit>.
            self.wandb_version = record.header.version_info.producer.partition("+")[0] or None
        elif record.HasField("exit"):
            self._add_exit(record.exit)

    def _add_exit(self, record: Any) -> None:
        self.exits += 1
        if self.exits == 1:
            # A second one is written where the process was killed just after it had finished its run.
            self.exit_code = None if record.not_complete else record.exit_code

    def _add_artifact(self, artifact: Any) -> None:
        # One that is not final is a part that other processes of the run go on with.
        if artifact.finalize:
            staged = tuple(entry.local_path for entry in artifact.manifest.contents if entry.local_path)
            aliases, tags = frozenset(artifact.aliases) - {"latest"}, frozenset(artifact.tags)
            logged = LoggedArtifact(
                artifact.type, artifact.name, artifact.digest, staged, aliases, tags, bool(artifact.incremental_beta1)
            )
            if before := self._artifacts.get(logged):
                # The same content again, under further names.
                logged = replace(logged, aliases=aliases | before.aliases, tags=tags | before.tags)
            self._artifacts[logged] = logged

    def _add_run(self, run: Any) -> None:
        # Written again when a setting of the run changes later, as with `run.name = "..."`.
        for name in ("run_id", "entity", "project", "run_group", "display_name", "resume", "resumed"):
            if value := getattr(run, name):
                self.run[name] = value
        if run.tags:
            self.run["tags"] = tuple(run.tags)
        if run.HasField("start_time"):
            time = run.start_time
            since = timedelta(seconds=time.seconds, microseconds=time.nanos // 1000)
            self.run["start_time"] = datetime(1970, 1, 1, tzinfo=UTC) + since
        self.config.add(run.config)


def _step(record: Any) -> int:
    if not record.HasField("step"):
        for item in record.item:
            if path_of(item) == ("_step",):
                return int(decode_or_keep(item.value_json))
    return record.step.num


def row_of(record: Any) -> dict[str, Any]:
    """Return a history record as a row: its values by name, and `_step`."""
    items = record.item
    values = decode_all([item.value_json for item in items])
    row = dict(zip(map(name_of, items), values, strict=True))
    if "_step" not in row:
        row["_step"] = record.step.num
    return row


def parsed_records(file: Path, message: str) -> Iterator[Any]:
    """Yield the records of a transaction log as `message`, one of `runferry.trackers.wandb.log.messages.FIELDS`.

    What is no such message is left out, as are bytes that cannot be read. Fields that the message does not declare
    cost next to nothing.

    Raises
    ------
    SegmentError, OSError
        As reading a `TransactionLog` does.
    """
    parse = parser(message)
    for payload in TransactionLog(file):
        try:
            yield parse(payload)
        except DecodeError:
            continue


def history_records(file: Path) -> Iterator[Any]:
    """Yield the history records of a transaction log, as `parsed_records` does, but for those too large for W&B."""
    parse = parser("HistoryOnly")
    for payload in TransactionLog(file):
        try:
            record = parse(payload)
        except DecodeError:
            continue
        if record.HasField("history") and not left_out_row(payload):
            yield record.history


def count_events(file: Path) -> int:
    """Count the records of system metrics, each one a line on the server; raises as `parsed_records` does."""
    return sum(record.HasField("stats") for record in parsed_records(file, "Streamed"))
