"""Keep Snakemake's scheduler from making rounds in which nothing can be done.

With `max-jobs-per-timespan`, which has a default of 100 a second, every round starts a timer for another one (Snakemake
9.17 to 9.27): as long as the workflow lives there is one a second, also while all that is left to do is to wait for
jobs. A job that ends makes a round, too, and so one more timer that is never done: of a sweep with 200 runs, 15,950
rounds were counted when 64 were synced, each of which looks at all jobs that wait. One timer at a time is enough, and
none where the limit does not hold back anything.

Snakemake's own module is taken from those that are loaded, so that nothing here imports it.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

_MODULE, _CLASS, _METHOD = "snakemake.scheduling.job_scheduler", "JobScheduler", "_schedule_reevalutation"
_WAITING = "_runferry_waiting"
"""The delays, in seconds, for which a scheduler has a timer."""


def install_scheduler() -> bool:
    """Limit each scheduler of this process to one timer; return False where it has no such method to replace."""
    scheduler = getattr(sys.modules.get(_MODULE), _CLASS, None)
    if not hasattr(scheduler, _METHOD):
        return False
    setattr(scheduler, _METHOD, look_again)
    return True


def look_again(scheduler: Any, delay: float) -> None:
    """Start a timer for a round in `delay` seconds, unless one is running or the limit lets more jobs go.

    Then all that were ready have gone: others become ready when a job ends, which makes a round by itself.
    The scheduler's own thread calls it. The timer is forgotten before it wakes the scheduler, so that the round that it
    brings about can start the next.
    """
    waiting: set[float] = scheduler.__dict__.setdefault(_WAITING, set())
    limiter = scheduler.job_rate_limiter
    if delay in waiting or (limiter is not None and limiter.get_free_jobs() > 0):
        return
    waiting.add(delay)

    def wake() -> None:
        waiting.discard(delay)
        scheduler._open_jobs.release()

    timer = threading.Timer(delay, wake)
    timer.daemon = True
    timer.start()
