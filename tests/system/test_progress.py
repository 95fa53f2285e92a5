"""What a person, a log file and a machine see of a sync's progress."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from runferry.system import progress
from runferry.system.progress import Amount, Bar, JsonLines, Lines, progress_for

TOTAL = Amount(runs=100, records=10_000, bytes=5_600_000)
HALF = Amount(runs=50, records=5_000, bytes=2_800_000)


class Terminal(io.StringIO):
    """A screen of one line: what was written over is gone."""

    def isatty(self) -> bool:
        return True

    def shown(self) -> list[str]:
        return [line.rsplit("\r\x1b[K", 1)[-1] for line in self.getvalue().split("\n")]


def test_a_person_sees_a_bar_with_runs_records_and_bytes():
    screen = Terminal()
    bar = Bar(screen)
    bar.sent(Amount(), TOTAL)
    assert screen.shown() == [f"[{'.' * 24}] sent 0 of 100 runs, 0 of 10,000 records, 0.0 of 5.6 MB"]
    bar.sent(HALF, TOTAL)
    half = f"[{'#' * 12}{'.' * 12}] sent 50 of 100 runs, 5,000 of 10,000 records, 2.8 of 5.6 MB"
    assert screen.shown() == [half]
    bar.say("the server is in trouble")
    assert screen.shown() == ["runferry: the server is in trouble", half]
    bar.end()
    assert screen.shown() == ["runferry: the server is in trouble", ""]


def test_reading_is_shown_by_the_same_bar_and_lines(monkeypatch):
    screen, log = Terminal(), io.StringIO()
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    bar, lines = Bar(screen), Lines(log)
    for done in (250, 500):
        clock[0] += 6
        bar.read(done, 1000)
        lines.read(done, 1000)
    assert screen.shown() == [f"[{'#' * 12}{'.' * 12}] read 500 of 1,000 runs"]
    assert log.getvalue() == "runferry: read 500 of 1,000 runs\n"


def test_a_bar_of_nothing_is_full():
    screen = Terminal()
    Bar(screen).sent(Amount(), Amount())
    assert screen.shown()[0].startswith(f"[{'#' * 24}]")


def test_a_log_file_gets_plain_lines_and_not_too_many(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    log = io.StringIO()
    lines = Lines(log)
    for second in range(25):
        clock[0] = float(second)
        lines.sent(HALF, TOTAL)
    lines.end()
    said = "runferry: sent 50 of 100 runs, 5,000 of 10,000 records, 2.8 of 5.6 MB\n"
    assert log.getvalue() == said * 2
    assert not re.search(r"[\r\x1b]", log.getvalue())


def test_a_machine_gets_the_same_as_json():
    out = io.StringIO()
    lines = JsonLines(out)
    lines.say("sending")
    lines.sent(HALF, TOTAL)
    lines.verified("run1", None, sent=["offline-run-1"])
    lines.verified("run2", "not verified: the server has no such run")
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"event": "said", "line": "sending"},
        {
            "event": "sent",
            "runs": 50,
            "records": 5_000,
            "bytes": 2_800_000,
            "of": {"runs": 100, "records": 10_000, "bytes": 5_600_000},
        },
        {"event": "run", "run": "run1", "verified": True, "problem": None, "sent": ["offline-run-1"]},
        {"event": "run", "run": "run2", "verified": False, "problem": "not verified: the server has no such run"},
    ]


@pytest.mark.parametrize(
    ("stderr", "as_json", "kind"),
    [(Terminal(), False, Bar), (io.StringIO(), False, Lines), (Terminal(), True, JsonLines)],
    ids=["terminal", "log file", "json"],
)
def test_which_one_it_is_follows_from_where_it_goes(monkeypatch, stderr, as_json, kind):
    monkeypatch.setattr(sys, "stderr", stderr)
    assert type(progress_for(as_json=as_json)) is kind
