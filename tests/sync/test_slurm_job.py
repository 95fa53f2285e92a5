"""A job that syncs: what sbatch is given, and that another follows one that ended (on a real Slurm: tests/cluster)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runferry.sync.options import SYNC_OPTIONS
from runferry.sync.slurm_job import ENDED_WELL, JobPlace, run_in_job, watch_in_job

if TYPE_CHECKING:
    import pytest

KEY = "5ec2e7" * 7
SBATCH = """#!/bin/sh
cat > job-$$
{ echo "$@"; env; } > given-$$
sh job-$$ > log-$$ 2>&1 &
echo 7
"""


def _stub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An sbatch that runs the script here, and a results folder without a run."""
    program = folder / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text(SBATCH)
    program.chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv(SYNC_OPTIONS, "{}")
    results = folder / "results"
    results.mkdir()
    return results


def test_a_job_gets_the_key_by_a_file_that_is_gone_and_another_follows_one_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = _stub(tmp_path, monkeypatch)
    place = JobPlace("internet", "def-x", 30)

    assert run_in_job(results, place, ["sync", "--if-any", str(results)], print) == ENDED_WELL
    assert run_in_job(results, place, ["sync", str(results)], print) == "exit code 2"

    jobs = iter([True, True, False])
    watch_in_job(results, place, ["--if-any", str(results)], print, lambda: next(jobs))

    assert len(list(tmp_path.glob("job-*"))) == 4
    for file in (*tmp_path.glob("job-*"), *tmp_path.glob("given-*"), *tmp_path.glob("log-*")):
        assert KEY not in file.read_text(), file
    for given in tmp_path.glob("given-*"):
        options, *variables = given.read_text().splitlines()
        assert "--partition=internet --time=30 --cpus-per-task=2 --mem=4G --account=def-x" in options
        assert not [line for line in variables if line.startswith(("WANDB_API_KEY", SYNC_OPTIONS, "RUNFERRY_KEY"))]
    assert list((results / ".sync" / "jobs").iterdir()) == []
