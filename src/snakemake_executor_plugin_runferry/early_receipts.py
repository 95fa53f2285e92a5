"""Sync runs that have finished while others of their pack still train, so that no receipt waits for a pack's last run.

Their receipts are interim ones, which the rule `sync` renames once the pack has ended.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.runs.folder import FOLDER
from runferry.system.text import count_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runferry.runs.folder import RunFolder


class EarlyReceipts:
    """Starts `runferry sync` for finished runs, one process at a time, which joins the queue of the rules' syncs.

    Parameters
    ----------
    seconds
        For which a run waits for others that finish: each start of a sync costs a second of CPU.
    tell
        Takes a line for the user.
    """

    def __init__(self, seconds: float, tell: Callable[[str], None]) -> None:
        self._seconds, self._tell = seconds, tell
        self._waiting_since: float | None = None
        # Runs that a sync was started for; a second time only the rule tries, which says what is wrong.
        self._begun: set[Path] = set()
        self._sync: tuple[subprocess.Popen[bytes], int, Path] | None = None

    def look(self, finished: Iterable[RunFolder], wanted: Callable[[], set[Path]]) -> None:
        """Start a sync of runs that have finished in packs that have not, when it is time to.

        Parameters
        ----------
        finished
            The runs.
        wanted
            Returns the folders of the runs whose receipts are wanted.
        """
        self._tell_of_sync()
        new = [folder for folder in finished if folder.path not in self._begun and folder.finished_file.exists()]
        if not new:
            self._waiting_since = None
            return
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        if self._sync is None and time.monotonic() - self._waiting_since >= self._seconds:
            self._begun |= {folder.path for folder in new}
            self._waiting_since = None
            folders = wanted()
            if new := [folder for folder in new if folder.path.resolve() in folders]:
                # A machine that starts no process now may do so for the rule.
                with suppress(OSError):
                    self._start(new)

    def _start(self, folders: Sequence[RunFolder]) -> None:
        log = folders[0].path.parent.parent / FOLDER / "early-receipts.log"
        process = subprocess.Popen(
            [sys.executable, "-m", "runferry", "sync", "--log", str(log), *(str(folder.path) for folder in folders)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._sync = process, len(folders), log

    def _tell_of_sync(self) -> None:
        if self._sync is None or self._sync[0].poll() is None:
            return
        process, count, log = self._sync
        self._sync = None
        if process.returncode == 0:
            self._tell(f"{count_of(count, 'run')} of packs that still train: synced and verified")
        else:
            line = f"{count_of(count, 'run')} of packs that still train: not all are verified ({log})"
            self._tell(f"{line}; tried again when the packs have ended")


def wanted_receipts(dag: Any) -> set[Path]:
    """Return the folders of the runs whose receipts this workflow is to make: all, or none where it only trains."""
    # At once: another thread may change what is iterated over.
    jobs = list(dag.needrun_jobs(exclude_finished=False))
    outputs = (Path(output) for job in jobs for output in job.output if output.endswith("/receipt.json"))
    return {output.parent.resolve() for output in outputs}
