from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from runferry.report.attempts import add_usage, report_attempt, size, suggestions
from runferry.report.measurements import GPU_USE
from runferry.report.model import RunReport, SystemCurve
from runferry.runs.job_usage import parse_usage, usage_of

if TYPE_CHECKING:
    from pathlib import Path

# In the form of sacct --parsable2, with what no short job has; tests/cluster/test_job_usage.py asks a real one.
LINES = """\
7|COMPLETED|2026-03-01T10:00:00|2026-03-01T11:00:00|3600|180|billing=12,cpu=12,gres/gpu:a100=1,gres/gpu=1,mem=124G,node=1||11:30:05
7.batch|COMPLETED|2026-03-01T10:00:00|2026-03-01T11:00:00|3600||cpu=12,mem=124G,node=1|204800K|00:05.100
7.0|COMPLETED|2026-03-01T10:00:01|2026-03-01T11:00:00|3599||cpu=12,mem=124G,node=1|6291456K|11:30:00
8|RUNNING|2026-03-01T10:00:00|Unknown|60|UNLIMITED|cpu=2,mem=4G,node=1||00:00:00
9|CANCELLED by 1000|2026-03-01T10:00:00|2026-03-01T10:01:00|60|UNLIMITED|cpu=2,mem=4G,node=1||1-00:00:01""".splitlines()


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sacct that prints LINES and writes down what it was asked."""
    program, log = tmp_path / "bin" / "sacct", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$@\" >>{log}\ncat <<'end'\n" + "\n".join(LINES) + "\nend\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return log


def test_an_ended_job_has_what_it_asked_for_and_the_peak_of_its_steps() -> None:
    usage = parse_usage(LINES)
    assert usage.keys() == {"7", "9"}
    job = usage["7"]
    assert (job.elapsed, job.time_limit, job.cores, job.gpus, job.cpu_seconds) == (3600, 10800, 12, 1, 41405.0)
    assert (job.memory, job.peak_memory) == (124 * 2**30, 6 * 2**30)
    assert (usage["9"].time_limit, usage["9"].peak_memory, usage["9"].cpu_seconds) == (None, None, 86401.0)


def test_slurm_is_asked_once_for_all_jobs_and_never_again_for_those_that_ended(asked: Path, tmp_path: Path) -> None:
    kept = tmp_path / "usage.json"
    assert usage_of(["7", "8", "9", "no number"], kept).keys() == {"7", "9"}
    assert usage_of(["7", "9"], kept)["7"].gpus == 1
    (line,) = asked.read_text().splitlines()
    assert "--jobs=7,8,9 " in line


def test_without_slurm_what_is_kept_is_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    kept = tmp_path / "usage.json"
    assert usage_of(["7"], kept) == {}
    assert not kept.exists()
    kept.write_text(json.dumps({"7": vars(parse_usage(LINES)["7"])}))
    assert usage_of(["7"], kept)["7"].elapsed == 3600
    kept.write_text('{"7": {"elapsed": 1}}')
    assert usage_of(["7"], kept) == {}


def run_of(job: str, start: str, name: str = "one") -> RunReport:
    built = datetime(2026, 3, 2, tzinfo=UTC)
    record = {"outcome": "finished", "job": job, "start": start, "end": "2026-03-01T11:00:00+00:00"}
    return RunReport(id=name, name=name, state="finished", attempts=[report_attempt(1, record, built)])


def test_a_job_of_another_cluster_with_the_same_number_is_not_taken_for_it(asked: Path, tmp_path: Path) -> None:
    runs = [run_of("7", "2026-03-01T10:00:09+00:00"), run_of("9", "2026-01-31T10:00:00+00:00", "two")]
    add_usage(runs, tmp_path)
    assert runs[0].attempts[0].usage is not None
    assert runs[1].attempts[0].usage is None


def test_what_was_asked_for_and_hardly_used_becomes_a_suggestion(asked: Path, tmp_path: Path) -> None:
    run = run_of("7", "2026-03-01T10:00:09+00:00")
    run.system[GPU_USE] = SystemCurve([0.0], [12.0], 12.0, 30.0)
    add_usage([run], tmp_path)
    said = suggestions([run])
    assert [sentence.partition(":")[0] for sentence in said] == [
        "The longest job took 1 h 00 min of the 3 h 00 min that it asked for",
        "No job used more than 6.0 GiB of the 124 GiB of memory that it asked for",
        "No run kept its GPU busy for more than 12 % of the time",
    ]
    assert "{time: 75m}" in said[0]
    assert "{memory: 8G}" in said[1]


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
