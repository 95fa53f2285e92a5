"""Follow the W&B runs of one attempt: their ids, their steps, where their segments lie, whether these are whole."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.errors import NotVerifiedError
from runferry.trackers.wandb import run_ids
from runferry.trackers.wandb.folders import move
from runferry.trackers.wandb.steps import ContinuedRuns, first_free_step
from runferry.trackers.wandb.wire import HEADER_BYTES, REQUEST_ID, fields, find

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry.runs.folder import RunFolder

# ServerRequest.record_publish and .record_communicate, a Record, and .inform_init; of all _info.stream_id, of the
# last settings.sync_dir.value. A stream's id is its W&B run's. The numbers are the same in wandb 0.22 to 0.31.
_RECORDS, _INFORM_INIT = (1, 2), 3
_SYNC_DIR, _STREAM = (1, 133, 1), (200, 1)
_EXIT, _EXIT_CODE = 18, 1


@dataclass
class _Begun:
    """A segment that a `wandb.init` of this attempt has begun."""

    run: str
    folder: Path
    answered: bool = False
    """Whether wandb-core has taken it: a wandb.init that raised an error before has begun no W&B run."""
    ended: bool = False


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
        self._lock = threading.Lock()
        file = folder.wandb_folder / run_ids.FILE
        self.ids = run_ids.RunIds(file, run, self._earlier_ids, self._ended_well, own=own)

    def begins(self, run: str, folder: Path) -> None:
        """Keep that a `wandb.init` of an id begins a segment."""
        inside = folder.parent.resolve() == self._folder.wandb_folder.resolve()
        with self._lock:
            self._begun.append(_Begun(run, folder))
        self.ids.opened(run, None if inside else str(folder))

    def ends(self, run: str) -> None:
        """Keep that a W&B run is ended by its process; what it saved by links is kept as it is now."""
        with self._lock:
            ended = [each for each in self._begun if each.run == run and not each.ended]
        for each in ended:
            each.ended = True
            keep_linked_files(each.folder, self._note)

    def first_free_step(self, run: str) -> int:
        """Return the step at which the newest segment of a W&B run goes on; 0 where there is none before it.

        It is asked when wandb-core answers to the wandb.init.
        """
        with self._lock:
            begun = [each for each in self._begun if each.run == run]
            for each in begun[-1:]:
                each.answered = True
            own = [each.folder for each in begun[:-1]]
        known = [(path, True) for each, path in self._earlier() if each == run] + [(path, False) for path in own]
        if not known and not self._folder.cleaned_file.exists():
            return 0
        return first_free_step(self._folder, run, known)

    def close(self, *, written: bool) -> str | None:
        """Bring in what lies elsewhere, and return what is missing of the segments, as a line; None for nothing.

        Call it when no wandb-core writes any more.

        Parameters
        ----------
        written
            Whether each wandb-core has ended by itself; else what is missing is known.
        """
        missing: list[str] = []
        for each in self._begun:
            log = each.folder / f"run-{each.run}.wandb"
            if each.folder.name.startswith("offline-") and not log.is_file():
                missing.append(f"{log} is gone")
                continue
            keep_linked_files(each.folder, self._note)
            if written and each.answered and exit_code_of(log) is None:
                missing.append(f"{log} ends before the W&B run did")
        bring_in_listed(self._folder, [each.folder for each in self._begun], self._note)
        return f"rows are missing: {'; '.join(missing)}" if missing else None

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


class Conversation:
    """Hears what one client and its wandb-core ask and answer.

    Parameters
    ----------
    runs
        Of the attempt.
    """

    def __init__(self, runs: JobRuns) -> None:
        self._runs = runs
        self._continued = ContinuedRuns(runs.first_free_step)

    def heard(self, message: bytes) -> None:
        """Take note of what a client asks, before wandb-core gets it."""
        question, run, ends = "", "", False
        for number, _, content in fields(message[HEADER_BYTES:]):
            if not isinstance(content, bytes):
                continue
            if number == REQUEST_ID:
                question = content.decode(errors="replace")
            elif number in _RECORDS:
                run = (find(content, _STREAM) or b"").decode(errors="replace")
                ends = find(content, (_EXIT,)) is not None
            elif number == _INFORM_INIT and (folder := find(content, _SYNC_DIR)):
                self._runs.begins((find(content, _STREAM) or b"").decode(), Path(os.fsdecode(folder)))
        if ends:
            self._runs.ends(run)
        elif run:
            self._continued.asked(question, run)

    def amended(self, answer: bytes) -> bytes:
        """Return what wandb-core answers, in the form that the client shall get."""
        return self._continued.amended(answer)


def log_of(segment: Path) -> Path | None:
    """Find the transaction log of a segment by its name alone; None where there is none."""
    with suppress(OSError), os.scandir(segment) as entries:
        for entry in entries:
            if entry.name.startswith("run-") and entry.name.endswith(".wandb"):
                return Path(entry.path)
    return None


def exit_code_of(log: Path) -> int | None:
    """Return the exit code at the end of a transaction log; None where it has none, or cannot be read."""
    from runferry.trackers.wandb.log.tail import LogTail

    # What comes behind it (the summary, the config) is small but for some.
    for blocks in (2, 64, 1 << 20):
        records: list[bytes] = []
        with suppress(OSError):
            records = LogTail(log).records_near_end(blocks)
        for record in reversed(records):
            found = next((value for number, _, value in fields(record) if number == _EXIT), None)
            if isinstance(found, bytes):
                return next(
                    (value for each, _, value in fields(found) if each == _EXIT_CODE and isinstance(value, int)), 0
                )
    return None


def keep_linked_files(segment: Path, note: Callable[[str], object]) -> None:
    """Replace the links that `wandb.save` has left in a segment's `files` by copies.

    The file that a link is to may be written again, by the next run of a job or by another job in the same working
    directory. A hard link would not do: what writes a file again mostly writes into the old one.
    """
    for folder, _, names in os.walk(segment / "files"):
        for name in names:
            link = Path(folder, name)
            if not link.is_symlink() or not link.is_file():
                continue
            partial = link.with_name(f".{name}.partial")
            try:
                shutil.copy2(link, partial)
                partial.rename(link)
            except OSError as error:
                note(f"{link} stays a link to a file that may change before the sync: {error}")
                with suppress(OSError):
                    partial.unlink(missing_ok=True)


def bring_in_listed(folder: RunFolder, segments: list[Path], note: Callable[[str], object]) -> None:
    """Move segments that lie elsewhere into the job's folder. Call it while no process writes to them."""
    home = folder.wandb_folder
    for segment in dict.fromkeys(segments):
        if segment.parent.resolve() != home.resolve() and segment.is_dir():
            move(segment, home / segment.name, note)


def bring_in_earlier(folder: RunFolder, note: Callable[[str], object]) -> None:
    """Move the segments of an attempt whose launcher was killed into the job's folder, where they lie elsewhere."""
    bring_in_listed(folder, [Path(each) for each in run_ids.elsewhere(folder.wandb_folder)], note)
