"""Follow the W&B runs of one attempt: their ids, their steps, where their segments lie, whether these are whole."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runferry.errors import NotVerifiedError
from runferry.trackers.wandb import run_ids
from runferry.trackers.wandb.folders import bring_in_listed, keep_linked_files
from runferry.trackers.wandb.steps import first_free_step
from runferry.trackers.wandb.told import Told
from runferry.trackers.wandb.written import exit_code_of, log_of, rows_in, why_not_written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runferry.runs.folder import RunFolder


@dataclass(frozen=True)
class Logged:
    """What an attempt's W&B runs logged, compared with what is on the disk.

    Attributes
    ----------
    rows
        By segment: the rows that wandb-core was told; None where their number cannot be said, because processes that
        log to one W&B run give steps of their own.
    missing
        A line for each segment that lacks some of it.
    """

    rows: dict[str, int | None] = field(default_factory=dict[str, "int | None"])
    missing: list[str] = field(default_factory=list[str])


@dataclass
class _Begun:
    """A segment that a `wandb.init` of this attempt has begun."""

    run: str
    folder: Path
    answered: bool = False
    """Whether wandb-core has taken it: a wandb.init that raised an error before has begun no W&B run."""
    ended: bool = False
    told: Told = field(default_factory=Told)

    @property
    def log(self) -> Path:
        return self.folder / f"run-{self.run}.wandb"


class JobRuns:
    """Follows the W&B runs that one attempt begins; may be used by several threads.

    Parameters
    ----------
    folder
        Of the job; on further nodes the node's own folder in it.
    run
        The id that the ids are derived from.
    note
        Takes a line for the job's log.
    own
        Whether one of the W&B runs may have `run` itself for its id.
    """

    def __init__(self, folder: RunFolder, run: str, note: Callable[[str], object], *, own: bool = True) -> None:
        self._folder = folder
        self._note = note
        self._before = folder.segments()
        self._known: list[tuple[str, Path]] | None = None
        self._begun: list[_Begun] = []
        # By the id of the stream, as it comes in each message: the newest segment of the W&B run.
        self._told: dict[bytes, Told] = {}
        self._lock = threading.Lock()
        file = folder.wandb_folder / run_ids.FILE
        self.ids = run_ids.RunIds(file, run, self._earlier_ids, self._ended_well, own=own)

    def begins(self, run: str, folder: Path) -> None:
        """Keep that a `wandb.init` of an id begins a segment."""
        inside = folder.parent.resolve() == self._folder.wandb_folder.resolve()
        begun = _Begun(run, folder)
        with self._lock:
            self._begun.append(begun)
            self._told[run.encode()] = begun.told
        self.ids.opened(run, None if inside else str(folder))

    def ends(self, run: str) -> None:
        """Keep that a W&B run is ended by its process; what it saved by links is kept as it is now."""
        with self._lock:
            ended = [each for each in self._begun if each.run == run and not each.ended]
        for each in ended:
            each.ended = True
            keep_linked_files(each.folder, self._note)

    def told(self, stream: bytes) -> Told | None:
        """Return the count of the rows of the newest segment of a W&B run; None where no `wandb.init` began it."""
        return self._told.get(stream)

    def answered(self, run: str, step: int) -> int:
        """Keep that wandb-core has begun a W&B run; return the step at which it goes on.

        Parameters
        ----------
        run
            Its id.
        step
            At which wandb-core begins it: 0, unless a server knows the run.

        Returns
        -------
        int
            The first step that is free behind its earlier segments; 0 where there are none.
        """
        with self._lock:
            begun = [each for each in self._begun if each.run == run]
            own = [each.folder for each in begun[:-1]]
        known = [(path, True) for each, path in self._earlier() if each == run] + [(path, False) for path in own]
        free = 0
        if known or self._folder.cleaned_file.exists():
            free = first_free_step(self._folder, run, known)
        for each in begun[-1:]:
            each.answered = True
            # The client, which gets the answer with the free step, gives wandb-core that step to begin at.
            each.told.step = max(step, free)
        return free

    def close(self, *, written: bool, seconds: float) -> Logged:
        """Compare what was logged with what is on the disk, and bring in what lies elsewhere.

        Call it when no wandb-core writes any more.

        Parameters
        ----------
        written
            Whether each wandb-core has ended by itself; else it is known that ends are missing.
        seconds
            For which the segments may be read; of what is left then only the ends are looked at.
        """
        end = time.monotonic() + seconds
        rows: dict[str, int | None] = {}
        missing: list[str] = []
        for each in self._begun:
            offline = each.folder.name.startswith("offline-")
            if each.answered and (offline or each.log.is_file()):
                rows[each.folder.name] = each.told.expected()
            if line := self._missing_of(each, end, written=written, offline=offline):
                missing.append(f"W&B run {each.run}: {line}")
            if each.log.is_file():
                keep_linked_files(each.folder, self._note)
        bring_in_listed(self._folder, [each.folder for each in self._begun], self._note)
        return Logged(rows, missing)

    def _missing_of(self, begun: _Begun, end: float, *, written: bool, offline: bool) -> str | None:
        if not begun.log.is_file():
            return f"{begun.log} is gone" if offline else None
        if not begun.answered:
            return None
        told = begun.told.expected()
        there = rows_in(begun.log, max(0.0, end - time.monotonic())) if told else None
        if told is not None and there is not None and there < told:
            why = why_not_written(begun.folder)
            because = f"; wandb-core could not write more: {why}" if why else ""
            return f"{there:,} of {told:,} rows logged are on the disk ({begun.log}{because})"
        if written and exit_code_of(begun.log) is None:
            return f"{begun.log} ends before the W&B run did"
        return None

    def _earlier(self) -> list[tuple[str, Path]]:
        if self._known is None:
            found = ((log_of(path), path) for path in self._before)
            self._known = [(log.stem.removeprefix("run-"), path) for log, path in found if log]
        return self._known

    def _earlier_ids(self) -> list[str]:
        ids = [run for run, _ in self._earlier()]
        if self._folder.cleaned_file.exists():
            from runferry.trackers.wandb.deleted import read_all_cleaned

            with suppress(NotVerifiedError):
                ids = [*read_all_cleaned(self._folder), *ids]
        return ids

    def _ended_well(self, run: str) -> bool:
        last = [path for each, path in self._earlier() if each == run][-1:]
        return bool(last) and exit_code_of(last[0] / f"run-{run}.wandb") == 0
