"""What a segment says: the run it belongs to, its history, summary, config and how it ended.

A segment is one `offline-run-*` folder, or `run-*` where the run was online; what was logged is in its
`run-<id>.wandb`, a transaction log of protobuf messages (`runferry.transaction_log`, `runferry.wandb_messages`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from runferry.errors import SegmentError
from runferry.json_values import decode_all, decode_or_keep
from runferry.last_values import LastValues, summary_bytes, tree
from runferry.segment_records import history_records, parsed_records
from runferry.transaction_log import TransactionLog
from runferry.wandb_messages import name_of, parser, path_of

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
        From the run's record; from the file's name in an empty segment.
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
    files : tuple of str
        Paths (or globs) below the segment's `files` folder that the run wants uploaded.
    artifacts : tuple of LoggedArtifact
        What the run logged with `log_artifact`, and wandb by itself for a `wandb.Table`.
    record_count : int
        Number of records of all kinds that can be read.
    lost_records : int
        Records that are missing before the last one that can be read, by their numbers.
    damage : str or None
        What could not be read, in a few words.
    """

    name: str
    folder: Path
    file: Path
    size_bytes: int
    run_id: str
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
    files: tuple[str, ...] = ()
    artifacts: tuple[LoggedArtifact, ...] = ()
    record_count: int = 0
    lost_records: int = 0
    damage: str | None = None

    @property
    def online(self) -> bool:
        """Whether wandb sent it to the server while it was written."""
        return not self.name.startswith("offline-")

    @property
    def empty(self) -> bool:
        """Whether it says nothing at all: no record was written before the process was killed."""
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


def read_segment(path: Path) -> Segment:
    """Read what the segment at `path` (its folder or the log in it) says, but for the rows of its history.

    Raises
    ------
    SegmentError
        When there is no transaction log, it cannot be read, or it is something else. An empty one is a
        `Segment` whose `empty` is true.
    """
    file = find_log(path)
    log = TransactionLog(file)
    collected = _Collected()
    try:
        size_bytes = file.stat().st_size
        for payload in log:
            collected.add(payload)
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
    return Segment(
        name=file.parent.name,
        folder=file.parent,
        file=file,
        size_bytes=size_bytes,
        run_id=run.get("run_id") or file.stem.removeprefix("run-"),
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
        files=tuple(collected.files),
        artifacts=tuple(collected.artifacts),
        record_count=collected.record_count,
        lost_records=collected.lost_records,
        damage="; ".join(damage) or None,
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
            yield _row(record)
    except OSError as error:
        raise _unreadable(file, error) from error


def count_history(path: Path) -> int:
    """Count the rows of the history of the segment at `path` without looking into them.

    Raises
    ------
    SegmentError
        As `read_segment` does.
    """
    file = find_log(path)
    try:
        return sum(record.HasField("history") for record in parsed_records(file, "HistoryUnread"))
    except OSError as error:
        raise _unreadable(file, error) from error


class _Collected:
    """What the records of a log say together, taken one after the other."""

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
        self.wandb_version: str | None = None
        self.history_count = 0
        self.artifacts: dict[LoggedArtifact, None] = {}
        self._count = 0

    @property
    def undecodable(self) -> int:
        return self._not_parsed + self.summary.undecodable

    @property
    def record_count(self) -> int:
        return self._count - self.summary.undecodable

    @property
    def lost_records(self) -> int:
        # wandb-core numbers the records of a file from 1 without a gap.
        return max(self._parse(self._last).num - self.record_count, 0)

    @property
    def summary_is_empty(self) -> bool:
        # A run that has just begun already has these two.
        return all(path[0] in {"_wandb", "_runtime"} for path in self.summary.texts)

    @property
    def first_step(self) -> int | None:
        return None if self._first_row is None else _step(self._first_row)

    @property
    def last_step(self) -> int | None:
        return None if self._last_row is None else _step(self._last_row)

    def add(self, payload: bytes) -> None:
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
        self._add_record(record)

    def _add_record(self, record: Any) -> None:
        if record.HasField("history"):
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
            self.exit_code = None if record.exit.not_complete else record.exit.exit_code

    def _add_artifact(self, artifact: Any) -> None:
        # One that is not final is a part that other processes of the run go on with.
        if artifact.finalize:
            staged = tuple(entry.local_path for entry in artifact.manifest.contents if entry.local_path)
            self.artifacts[LoggedArtifact(artifact.type, artifact.name, artifact.digest, staged)] = None

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


def _unreadable(file: Path, error: OSError) -> SegmentError:
    return SegmentError(f"{file}: expected a file that can be read, found: {error.strerror}")


def _step(record: Any) -> int:
    if not record.HasField("step"):
        for item in record.item:
            if path_of(item) == ("_step",):
                return int(decode_or_keep(item.value_json))
    return record.step.num


def _row(record: Any) -> dict[str, Any]:
    items = record.item
    values = decode_all([item.value_json for item in items])
    row = dict(zip(map(name_of, items), values, strict=True))
    if "_step" not in row:
        row["_step"] = record.step.num
    return row


def _last_values(file: Path) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for row in history(file):
        last.update(row)
    return last


def _plural(count: int) -> str:
    return "" if count == 1 else "s"
