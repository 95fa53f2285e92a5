"""Define what the Python API returns; each attribute of a run is read from its folder when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from runferry.runs.folder import RunFolder
from runferry.trackers.wandb.log.segment import Segment, history, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from runferry.runs.run_record import RunRecord


@dataclass(frozen=True)
class WandbRun:
    """A W&B run as the server held it when it was verified.

    Attributes
    ----------
    id, url, state : str
    history_lines : int
        Rows of its history.
    last_step : int or None
        Of the last row; None without rows.
    """

    id: str
    url: str
    state: str
    history_lines: int
    last_step: int | None


@dataclass(frozen=True)
class Receipt:
    """The proof that the server held, when it was asked, every record that the disk held.

    Attributes
    ----------
    url : str
        The run's page.
    verified : datetime
        When the server was asked, UTC.
    state : str or None
        Of the run on the server, such as "finished" or "failed"; None of a run that logs to Comet, as the next two.
    history_lines : int or None
        Rows of its history.
    last_step : int or None
        Of the last row; None without rows, too.
    segments : tuple of str
        Names of the segments that it speaks of.
    missing : tuple of str
        Files and artifacts that were gone from disk and server both, where that was accepted.
    unreadable : dict
        What could not be read of a damaged segment, by its name.
    holds : bool
        Whether the segments on disk are still those that it speaks of.
    wandb_runs : tuple of WandbRun
        Every W&B run that the run's command made, in the order of their start; what stands above is of the first.
        Empty of a run that logs to Comet.
    """

    url: str
    verified: datetime
    state: str | None
    history_lines: int | None
    last_step: int | None
    segments: tuple[str, ...]
    missing: tuple[str, ...]
    unreadable: Mapping[str, str]
    holds: bool
    wandb_runs: tuple[WandbRun, ...] = ()


@dataclass(frozen=True)
class Run:
    """A run, known by its folder; each attribute is read from the disk when it is asked for.

    It may be pickled, sent to a job and used there.
    """

    path: Path
    """`results/<experiment>/<run>`, absolute."""

    @property
    def id(self) -> str:
        """Return the W&B run id."""
        return self._record.id

    @property
    def name(self) -> str:
        """Return the name that W&B shows."""
        return self._record.name

    @property
    def experiment(self) -> str:
        """Return the name of the experiment, which is the W&B group."""
        return self.path.parent.name

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the run; none for an adopted run."""
        return dict(self._record.parameters)

    @property
    def command(self) -> list[str]:
        """Return the command, one argument an item; an empty list for an adopted run."""
        return list(self._record.command)

    @property
    def state(self) -> Literal["pending", "running", "failed", "finished"]:
        """Return the state in W&B's words, from the run's files; a stopped run is "failed" until its next attempt."""
        from runferry.runs.state import state_of

        return state_of(self._folder)

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Return the records of all attempts, first to last; keys: `runferry.runs.attempt_record.AttemptRecord`."""
        return [attempt.to_json() for attempt in self._folder.attempts()]

    @property
    def log(self) -> Path:
        """Return the file with all that the command printed, attempt after attempt."""
        return self._folder.log_file

    @property
    def checkpoints(self) -> Path:
        """Return the folder that the command finds in `$RUNFERRY_CHECKPOINTS`."""
        return self._folder.checkpoints_folder

    @property
    def receipt(self) -> Receipt | None:
        """Return the receipt; None before the first sync that verified the run."""
        from runferry.runs import receipt_record
        from runferry.runs.receipt import holds
        from runferry.trackers.registry import given_base_url

        try:
            record = receipt_record.Receipt.read(self._folder.receipt_file)
        except FileNotFoundError:
            return None
        interim = self._folder.receipt_file == self._folder.interim_receipt_file
        # Of the server that it names: which one this process would ask is no matter of the disk.
        base_url = given_base_url(self._record) or record.base_url
        server = record.server
        return Receipt(
            url=record.url,
            verified=datetime.fromisoformat(record.verified),
            state=server.state if server else None,
            history_lines=server.history_lines if server else None,
            last_step=server.last_step if server else None,
            segments=tuple(segment.name for segment in record.segments),
            missing=record.missing or (),
            unreadable=record.unreadable,
            holds=holds(self._folder, base_url, interim=interim),
            wandb_runs=tuple(
                WandbRun(each.run, each.url, each.server.state, each.server.history_lines, each.server.last_step)
                for each in record.each_wandb_run
            ),
        )

    def segments(self) -> list[Segment]:
        """Read the segments of the run, in the order in which they were begun.

        Raises
        ------
        SegmentError
            When one cannot be read at all.
        """
        return [read_segment(path) for path in self._folder.segments()]

    def history(self) -> Iterator[dict[str, Any]]:
        """Yield the rows that the run logged, of all its segments; their keys: `runferry.api.history`.

        Raises
        ------
        SegmentError
            As `segments`.
        """
        for path in self._folder.segments():
            yield from history(path)

    @property
    def _folder(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def _record(self) -> RunRecord:
        return self._folder.read_run()


@dataclass(frozen=True)
class Synced:
    """The result of a sync for one run: its receipt, or in `problem` one line that says why it has none."""

    run: Run
    problem: str | None

    @property
    def receipt(self) -> Receipt | None:
        """Return the run's receipt; None where there is a problem."""
        return None if self.problem else self.run.receipt


@dataclass(frozen=True)
class Adopted:
    """The result of `adopt` for one segment: in `run` the run that it belongs to, else in `left` why it was left."""

    segment: Path
    run: Run | None
    left: str | None
