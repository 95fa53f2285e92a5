"""Rounds of Snakemake's scheduler while a limit of submissions holds jobs back."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from runferry.workflow import scheduler_patch


class Scheduler:
    def __init__(self) -> None:
        self._open_jobs = threading.Semaphore(0)
        self.free = 0
        self.job_rate_limiter = SimpleNamespace(get_free_jobs=lambda: self.free)

    def rounds(self, seconds: float, delay: float) -> int:
        """How many rounds follow from the timers, each of which asks for another, as Snakemake's do."""
        count, end = 0, time.monotonic() + seconds
        while self._open_jobs.acquire(timeout=max(0.0, end - time.monotonic())):
            count += 1
            scheduler_patch.look_again(self, delay)
        return count


def test_jobs_that_end_leave_no_timers_behind():
    scheduler = Scheduler()
    for _ in range(50):
        scheduler_patch.look_again(scheduler, 0.1)
    assert 3 <= scheduler.rounds(0.55, 0.1) <= 6


def test_where_the_limit_holds_nothing_back_there_is_no_further_round():
    scheduler = Scheduler()
    scheduler.free = 1
    scheduler_patch.look_again(scheduler, 0.001)
    assert scheduler.rounds(0.2, 0.001) == 0


def test_a_round_that_a_timer_brought_about_can_ask_for_the_next():
    scheduler = Scheduler()
    scheduler_patch.look_again(scheduler, 0.001)
    assert scheduler.rounds(0.3, 0.001) > 20


def test_snakemake_has_the_method_that_is_replaced(monkeypatch):
    module = pytest.importorskip("snakemake.scheduling.job_scheduler")
    plain = module.JobScheduler._schedule_reevalutation
    monkeypatch.setattr(module.JobScheduler, "_schedule_reevalutation", plain)
    assert scheduler_patch.install_scheduler()
    assert module.JobScheduler._schedule_reevalutation is scheduler_patch.look_again
    assert {"_open_jobs", "job_rate_limiter"} <= set(module.JobScheduler.__init__.__code__.co_names)
    assert callable(module.JobRateLimiter.get_free_jobs)
