"""Read and write `receipt.json`, which says that the server held every record of a run when it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runferry.runs.attempt_record import CodeEntry  # noqa: TC001 - the name of a field's class is looked up when a receipt is read
from runferry.runs.receipt_stamp import is_for
from runferry.system.records import Record, optional

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, eq=False, repr=False)
class SegmentEntry(Record):
    """One segment that a receipt covers, also one that held nothing."""

    NAME: ClassVar[str] = "segment of a receipt"
    name: str
    """Of its folder; with Comet `attempt-<n>/<file>`."""
    size_bytes: int | None = None
    """Of its log as it was read, as the next two; None where it has no log."""
    mtime_ns: int | None = None
    """When it was last written, in nanoseconds since 1970."""
    ctime_ns: int | None = None
    """When it last changed (see `runferry.runs.receipt_stamp.STAMP_KEYS`)."""
    sha256: str | None = None
    """Of the log's content, in hexadecimal digits."""
    history_lines: int | None = optional()
    """Rows in it; None of a segment that was left out, and with Comet."""
    exit_code: int | None = None
    """Of the process that wrote it; None where it does not say."""
    wandb: str | None = None
    """The version of wandb that wrote it."""
    unreadable: str | None = None
    """Why it, or a part of it, cannot be read."""
    cleaned: str | None = optional()
    """When `runferry clean` deleted it: ISO 8601, UTC; None while it is on the disk."""

    def absent(self) -> frozenset[str]:
        """Return the names of fields that are not written."""
        unread = {"exit_code", "wandb"} if self.history_lines is None else set[str]()
        return super().absent() | unread


@dataclass(frozen=True, eq=False, repr=False)
class Counts(Record):
    """What one side holds of a W&B run."""

    history_lines: int = 0
    """Rows of its history."""
    last_step: int | None = None
    """Of the last row; None without rows."""
    state: str = ""
    """Of the run, in W&B's words, as "finished" or "failed"."""


@dataclass(frozen=True, eq=False, repr=False)
class WandbRunEntry(Record):
    """One W&B run of a run, as both sides had it."""

    NAME: ClassVar[str] = "W&B run of a receipt"
    run: str
    """Its id."""
    url: str = ""
    """Its page."""
    entity: str = ""
    project: str = ""
    disk: Counts = Counts()
    server: Counts = Counts()
    rows: str = "all"
    """Which rows were read back: "all", or of a long run that was sent whole "sampled"."""
    segments: tuple[str, ...] = ()
    """Names of its segments, in the order of their start."""


@dataclass(frozen=True, eq=False, repr=False)
class ExperimentEntry(Record):
    """One Comet experiment of a run, as both sides had it."""

    NAME: ClassVar[str] = "Comet experiment of a receipt"
    key: str
    url: str = ""
    workspace: str = ""
    project: str = ""
    values: int = 0
    """Of metrics, on the disk."""
    metrics: int = 0
    """Names of metrics; the next ones count names or files, too."""
    sampled: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values that the server holds of a metric of which it keeps a sample, by the metric."""
    parameters: int = 0
    others: int = 0
    files: int = 0
    not_compared: tuple[str, ...] = ()
    """What cannot be asked for, in words."""


@dataclass(frozen=True, eq=False, repr=False)
class Receipt(Record):
    """The content of `receipt.json`.

    What stands at the top of a receipt of W&B is of the first W&B run, which bears the run's id unless the script has
    ids of its own; `wandb_runs` has every one.
    """

    NAME: ClassVar[str] = "receipt"
    run: str = ""
    """The id of the first W&B run; with Comet the run's."""
    tracker: str | None = optional()
    """None is W&B, the other is "comet"."""
    url: str = ""
    """The run's page."""
    entity: str | None = optional()
    """None with Comet, as the next one."""
    project: str | None = optional()
    base_url: str = ""
    """Address of the server, without a slash at its end."""
    verified: str = ""
    """When the server was asked: ISO 8601, UTC."""
    segments: tuple[SegmentEntry, ...] = ()
    """In the order of their start."""
    disk: Counts | None = optional()  # noqa: RUF009
    """None with Comet, as the next four and `missing`, `wandb_runs` and `wandb`."""
    server: Counts | None = optional()  # noqa: RUF009
    rows: str | None = optional()
    """As `WandbRunEntry.rows`."""
    files: int | None = optional()
    """Files that the segments promised, and the server had."""
    artifacts: int | None = optional()
    missing: tuple[str, ...] | None = optional()
    """Lines about what is on neither side, which the user has accepted."""
    experiments: tuple[ExperimentEntry, ...] | None = optional()
    """With Comet only."""
    unreadable: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Why segments, or parts of them, cannot be read, by their names."""
    code: tuple[CodeEntry, ...] | None = optional()
    """None in receipts of versions before it was recorded."""
    wandb_runs: tuple[WandbRunEntry, ...] | None = optional()
    """None in receipts of versions that had one W&B run for each run; see `each_wandb_run`."""
    wandb: str | None = optional()
    """Version of wandb that sent it."""
    runferry: str | None = optional()
    """Version of runferry that wrote it."""

    @property
    def each_wandb_run(self) -> tuple[WandbRunEntry, ...]:
        """Return the W&B runs; a receipt of an earlier version has one, at its top, and one of Comet none."""
        if self.wandb_runs is not None or self.server is None:
            return self.wandb_runs or ()
        place = self.entity or "", self.project or ""
        return (WandbRunEntry(self.run, self.url, *place, self.disk or Counts(), self.server, self.rows or "all"),)

    def is_for(self, base_url: str | None) -> bool:
        """Return whether it is of the server that is meant (see `runferry.runs.receipt_stamp.is_for`)."""
        return is_for(self.base_url, base_url)
