from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runferry.report.attempts import add_usage
from runferry.runs.job_usage import parse_usage, usage_of
from support.sacct_stub import (
    LINES,
    run_of,
    utc,  # noqa: F401 - a fixture
)

if TYPE_CHECKING:
    from pathlib import Path


def test_an_ended_job_has_what_it_asked_for_and_the_peak_of_its_steps() -> None:
    # Of a step of four tasks Slurm names the largest.
    usage = parse_usage(LINES)
    assert usage.keys() == {"7", "9"}
    job = usage["7"]
    assert (job.elapsed, job.time_limit, job.cores, job.gpus, job.cpu_seconds) == (3600, 10800, 12, 1, 41405.0)
    assert (job.memory, job.peak_memory) == (124 * 2**30, 8 * 2**30)
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


def test_a_job_of_another_cluster_with_the_same_number_is_not_taken_for_it(asked: Path, tmp_path: Path) -> None:
    runs = [run_of("7", "2026-03-01T10:00:09+00:00"), run_of("9", "2026-01-31T10:00:00+00:00", "two")]
    add_usage(runs, tmp_path)
    assert runs[0].attempts[0].usage is not None
    assert runs[1].attempts[0].usage is None
