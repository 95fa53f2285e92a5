"""What the report says of an attempt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from runferry.report.attempts import add_usage, report_attempt, size, suggestions
from runferry.report.measurements import GPU_USE
from runferry.report.model import SystemCurve
from support.sacct_stub import (
    run_of,
    utc,  # noqa: F401 - a fixture
)

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_asked_for_and_hardly_used_becomes_a_suggestion(asked: Path, tmp_path: Path) -> None:
    run = run_of("7", "2026-03-01T10:00:09+00:00")
    run.system[GPU_USE] = SystemCurve([0.0], [12.0], 12.0, 30.0)
    add_usage([run], tmp_path)
    said = suggestions([run])
    assert [sentence.partition(":")[0] for sentence in said] == [
        "The longest job took 1 h 00 min of the 3 h 00 min that it asked for",
        "No job used more than 8.0 GiB of the 124 GiB of memory that it asked for",
        "No run kept its GPU busy for more than 12 % of the time",
    ]
    assert "{time: 75m}" in said[0]
    assert "{memory: 10G}" in said[1]


def test_a_job_that_several_runs_shared_says_nothing_about_one(asked: Path, tmp_path: Path) -> None:
    runs = [run_of("7", "2026-03-01T10:00:09+00:00"), run_of("7", "2026-03-01T10:00:09+00:00", "two")]
    add_usage(runs, tmp_path)
    assert all(run.attempts[0].shared for run in runs)
    assert suggestions(runs) == []


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
    assert report_attempt(1, more, datetime(2026, 3, 2, tzinfo=UTC)).why == why


def test_sizes_are_written_as_a_person_would() -> None:
    assert [size(count) for count in (None, 5000, 3 * 2**20, 1.5 * 2**30, 124 * 2**30)] == [
        *("\N{EN DASH}", "5 KiB", "3.0 MiB", "1.5 GiB", "124 GiB")
    ]
