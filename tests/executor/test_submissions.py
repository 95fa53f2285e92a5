from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from snakemake_executor_plugin_runferry import submissions
from snakemake_executor_plugin_runferry.submissions import SECONDS_APART, Submissions


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(submissions.time, "monotonic", clock.monotonic)
    return clock


def paced(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Submissions:
    made = Submissions()
    monkeypatch.setattr(made._ended, "wait", clock.wait)
    return made


def test_the_next_waits_a_second_from_the_end_of_the_one_before(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one = paced(clock, monkeypatch)
    times: list[float] = []

    def slow() -> None:
        times.append(clock.now)
        clock.now += 0.4

    for _ in range(3):
        one_by_one.submit(slow, apart=True)
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([1.4, 1.4])
    clock.now += 10
    one_by_one.submit(slow, apart=True)
    assert clock.waits[-1] == 0
    assert SECONDS_APART == 1


def test_one_that_fails_keeps_the_distance_too(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one = paced(clock, monkeypatch)

    def refused() -> None:
        message = "refused"
        raise ValueError(message)

    with pytest.raises(ValueError, match="refused"):
        one_by_one.submit(refused, apart=True)
    one_by_one.submit(lambda: None, apart=True)
    assert clock.waits == [0, 1]


def test_where_somebody_else_keeps_them_apart_nothing_waits(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one = paced(clock, monkeypatch)
    done: list[int] = []
    for number in range(3):
        one_by_one.submit(lambda number=number: done.append(number), apart=False)
    assert done == [0, 1, 2]
    assert clock.waits == []


def test_after_the_end_nothing_is_submitted_and_what_waits_is_let_go() -> None:
    done: list[str] = []
    one_by_one = Submissions(600)
    one_by_one.submit(lambda: done.append("first"), apart=True)
    waiting = [
        threading.Thread(target=one_by_one.submit, args=(lambda: done.append("late"),), kwargs={"apart": True})
        for _ in range(2)
    ]
    for thread in waiting:
        thread.start()
    one_by_one.end()
    for thread in waiting:
        thread.join(30)
        assert not thread.is_alive()
    assert done == ["first"]


def test_the_end_waits_for_a_submission_that_has_begun() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def submission() -> None:
        begun.set()
        go_on.wait(30)
        done.append("submitted")

    one_by_one = Submissions()
    thread = threading.Thread(target=one_by_one.submit, args=(submission,), kwargs={"apart": False})
    thread.start()
    assert begun.wait(30)
    ending = threading.Thread(target=lambda: (one_by_one.end(), done.append("ended")))
    ending.start()
    go_on.set()
    ending.join(30)
    thread.join(30)
    assert done == ["submitted", "ended"]
