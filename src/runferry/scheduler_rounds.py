"""Keeps Snakemake's scheduler from making more and more rounds while a limit of submissions holds jobs back.

With `max-jobs-per-timespan`, every round starts a timer for another one (Snakemake 9.17 to 9.27). A job that ends
makes a round, too, and so one more timer that is never done: of a sweep with 200 runs, 15,950 rounds were counted when
64 were synced, each of which looks at all jobs that wait. One timer at a time is enough.

Snakemake's own module is taken from those that are loaded, so that nothing here imports it.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

_MODULE, _CLASS, _METHOD = "snakemake.scheduling.job_scheduler", "JobScheduler", "_schedule_reevalutation"
_WAITING = "_runferry_waiting"
"""The delays, in seconds, for which a scheduler has a timer."""


def install() -> bool:
    """Have each scheduler keep one timer, for this process; False where Snakemake has no such method to replace."""
    scheduler = getattr(sys.modules.get(_MODULE), _CLASS, None)
    if not hasattr(scheduler, _METHOD):
        return False
    setattr(scheduler, _METHOD, look_again)
    return True


def look_again(scheduler: Any, delay: float) -> None:
    """Have the scheduler make a round after `delay` seconds, unless a timer for that is there already.

    The scheduler's own thread calls it. The timer is forgotten before it wakes the scheduler, so that the round that it
    brings about can start the next.
    """
    waiting: set[float] = scheduler.__dict__.setdefault(_WAITING, set())
    if delay in waiting:
        return
    waiting.add(delay)

    def wake() -> None:
        waiting.discard(delay)
        scheduler._open_jobs.release()

    timer = threading.Timer(delay, wake)
    timer.daemon = True
    timer.start()
