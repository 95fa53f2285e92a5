"""What the report says of an attempt."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runferry.report.attempts import report_attempt, size
from runferry.runs.attempt_record import AttemptRecord
from runferry.system.records import from_json


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"outcome": "finished", "exit_code": 0}, "finished"),
        ({"outcome": "stopped", "exit_code": 0, "reason": "time limit"}, "time limit"),
        ({"outcome": "killed", "signal": "SIGKILL", "reason": "out of memory"}, "out of memory (SIGKILL)"),
        ({"outcome": "failed", "exit_code": 3, "reason": "failed"}, "exit code 3"),
        ({"outcome": "failed"}, "could not be started"),
        ({"outcome": "lost", "reason": "node failure"}, "node failure"),
        ({"outcome": "running"}, "running"),
        ({}, "unknown"),
    ],
)
def test_an_attempt_says_in_words_why_it_ended(more: dict[str, object], why: str) -> None:
    assert report_attempt(1, from_json(AttemptRecord, more, "1.json"), datetime(2026, 3, 2, tzinfo=UTC)).why == why


def test_sizes_are_written_as_a_person_would() -> None:
    assert [size(count) for count in (None, 5000, 3 * 2**20, 1.5 * 2**30, 124 * 2**30)] == [
        *("\N{EN DASH}", "5 KiB", "3.0 MiB", "1.5 GiB", "124 GiB")
    ]
