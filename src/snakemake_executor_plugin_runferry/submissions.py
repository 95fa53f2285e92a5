"""Keep submissions apart, as sites ask, and end them when the workflow ends.

Snakemake's own `max-jobs-per-timespan` holds back every job, those on the login node too (9.17 to 9.27): at one in two
seconds, the syncs of a thousand runs wait for half an hour. Here only what goes to Slurm waits.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_APART = 1.0
"""From the end of one `sbatch` to the next, where nobody says otherwise: the sites ask for a second at least (Alliance
wiki, read 2026-05 to 2026-08)."""
LAST_SECONDS = 60.0
"""For which a submission that has begun is waited for at the end, so that no Ctrl-C hangs on a Slurm that is away."""


class Submissions:
    """Submits one job at a time, from whichever thread."""

    def __init__(self, seconds_apart: float = SECONDS_APART) -> None:
        self._seconds_apart = seconds_apart
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._next = 0.0

    def submit(self, submission: Callable[[], None], *, apart: bool) -> None:
        """Submit a job, after a pause if `apart`; do nothing once submissions have ended, even during the pause."""
        with self._lock:
            if apart:
                self._ended.wait(max(self._next - time.monotonic(), 0.0))
            if self._ended.is_set():
                return
            try:
                submission()
            finally:
                self._next = time.monotonic() + self._seconds_apart

    def end(self) -> None:
        """Stop further submissions, and wait for the one under way, `LAST_SECONDS` at most."""
        self._ended.set()
        if self._lock.acquire(timeout=LAST_SECONDS):
            self._lock.release()
