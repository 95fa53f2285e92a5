"""Signals that a job was sent."""

from __future__ import annotations

from runferry.doctor.probe import _signals


def test_signals_that_came_and_those_that_did_not_are_told_with_their_times():
    seen = {"end": 1300.0, "last": 1331.0, "signals": {"SIGUSR1": 1120.0, "SIGTERM": 1301.0}}
    warned, ended = _signals(seen, 120, to_the_end=True)
    assert (warned.mark, warned.found) == ("ok", "came 180 s before the time limit")
    assert (ended.mark, ended.found) == ("ok", "came 1 s after the time limit; the job was alive for 30 s more")
    assert [one.mark for one in _signals({**seen, "signals": {}}, 120, to_the_end=True)] == ["differs", "differs"]
