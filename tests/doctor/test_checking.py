"""Checks of `runferry doctor`: none hides another."""

from __future__ import annotations

import subprocess
import time
from functools import partial

from runferry.doctor.checking import Check, run_checks
from runferry.doctor.finding import Finding
from runferry.system.processes import is_alive


def _fails():
    yield Finding("a", "before", "ok", "seen")
    raise ZeroDivisionError("the first line\nand a second")


def _hangs(file):
    yield Finding("b", "before", "ok", "seen")
    child = subprocess.Popen(["sleep", "60"])
    file.write_text(str(child.pid))
    child.wait()


def test_a_check_that_fails_or_hangs_is_a_line_and_hides_nothing(tmp_path):
    file = tmp_path / "child"
    ended = []
    begin = time.monotonic()
    found = run_checks([Check("a", 30, _fails), Check("b", 0.5, partial(_hangs, file))], ended.append)
    assert time.monotonic() - begin < 5
    assert [(finding.about, finding.mark) for finding in found] == [
        ("a", "ok"),
        ("a", "unknown"),
        ("b", "ok"),
        ("b", "unknown"),
    ]
    assert found[1].found == "it failed with ZeroDivisionError: the first line"
    assert found[3].found == "no answer within 0.5 s"
    assert len(ended) == 2
    # What it had started is gone with it.
    while is_alive(int(file.read_text())):
        assert time.monotonic() - begin < 5
        time.sleep(0.01)


def _takes(seconds):
    time.sleep(seconds)
    yield Finding("c", "time", "ok", str(seconds))


def test_checks_run_at_the_same_time_and_come_in_their_order():
    begin = time.monotonic()
    found = run_checks([Check("c", 10, partial(_takes, seconds)) for seconds in (0.6, 0.5, 0.4)])
    assert time.monotonic() - begin < 1.4
    assert [finding.found for finding in found] == ["0.6", "0.5", "0.4"]
