"""Keeps submissions apart, as sites ask, and ends them when the workflow ends.

Snakemake's own `max-jobs-per-timespan` holds back every job, those on the login node too (9.17 to 9.27): of a thousand
runs, each with a sync of its own, that is an hour of waiting. Here only what goes to Slurm waits.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_APART = 1.0
"""From the end of one `sbatch` to the next: the sites ask for a second at least (Alliance wiki, read 2026-05 to
2026-08)."""


class Submissions:
    """Submits one job at a time, from whichever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._next = 0.0

    def submit(self, submission: Callable[[], None], *, apart: bool) -> None:
        """Submit when it is time to, if `apart`; not at all once submissions have ended, also while this waits."""
        with self._lock:
            if apart:
                self._ended.wait(max(self._next - time.monotonic(), 0.0))
            if self._ended.is_set():
                return
            try:
                submission()
            finally:
                self._next = time.monotonic() + SECONDS_APART

    def end(self) -> None:
        """Let no other submission begin; the one that has is waited for."""
        self._ended.set()
        with self._lock:
            pass
