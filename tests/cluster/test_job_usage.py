"""What the report says that jobs asked for and used, from a real `sacct`: the lines are Slurm's, not made up."""

from __future__ import annotations

import json
import sys
import time

import pytest

from runferry.runs.job_usage import usage_of
from support.slurm.namespaces import wait_for

MEGABYTE = 2**20
# Takes memory, and a second of a core's time, for long enough to be sampled.
USE = "import time; b = bytearray(300_000_000)\nwhile time.process_time() < 1: pass\ntime.sleep(3)"


@pytest.fixture
def submit(cluster, tmp_path):
    def submit(*arguments, script):
        file = tmp_path / "job.sh"
        file.write_text(f"#!/bin/bash\n{script}\n")
        return cluster.submit("--output=/dev/null", *arguments, file, cwd=tmp_path)

    return submit


def usage_when_known(kept, jobs):
    """Ask until Slurm's accounting has them all: it is told a little later than the queue."""
    wait_for(lambda: jobs <= usage_of(jobs, kept).keys(), f"{jobs} in sacct", 60)
    return usage_of(jobs, kept)


def test_jobs_that_ended_have_what_they_asked_for_and_used(cluster, submit, tmp_path, monkeypatch):
    # A person's own format of times must not matter.
    monkeypatch.setenv("SLURM_TIME_FORMAT", "%a %H:%M")
    begun = time.time()
    program = tmp_path / "use.py"
    program.write_text(USE)
    request = [
        "--account=def-test_gpu",
        "--gpus=a100:2",
        "--nodes=1",
        "--cpus-per-task=3",
        "--mem=900M",
        "--time=2:00:00",
        # Slurm samples every 30 s where nobody says otherwise, and a shorter job has no peak.
        "--acctg-freq=task=1",
    ]
    used = submit(*request, script=f"srun {sys.executable} {program}")
    failed = submit("--account=def-test_cpu", "--mem=200M", "--time=5", script="exit 3")
    cancelled = submit("--account=def-test_cpu", "--mem=200M", "--time=1-00:00", script="sleep 300")
    running = submit("--account=def-test_cpu", "--mem=200M", "--time=5", script="sleep 300")
    try:
        wait_for(
            lambda: "RUNNING" in cluster.run("squeue", "--noheader", f"--jobs={cancelled}", "--format=%T"), "it to run"
        )
        cluster.run("scancel", cancelled)
        for job in (used, failed, cancelled):
            cluster.wait_for_job(job, seconds=200)
        kept = tmp_path / "usage.json"
        usage = usage_when_known(kept, {used, failed, cancelled})
        assert usage_of([running], kept).keys() == {used, failed, cancelled}
    finally:
        cluster.run("scancel", running)
    job = usage[used]
    assert (job.gpus, job.cores, job.memory, job.time_limit) == (2, 3, 900 * MEGABYTE, 7200)
    assert begun - 2 < job.start <= job.end < time.time() + 2
    assert job.elapsed == job.end - job.start
    assert 300_000_000 < job.peak_memory < 400_000_000
    assert 1 <= job.cpu_seconds < 30
    assert (usage[failed].time_limit, usage[failed].gpus, usage[failed].memory) == (300, 0, 200 * MEGABYTE)
    # Where processes are followed by cgroup, Slurm has a figure of the shortest job too.
    assert (usage[failed].peak_memory or 0) < 10 * MEGABYTE
    assert usage[cancelled].time_limit == 86400
    assert usage[cancelled].end >= usage[cancelled].start > begun - 2
    # What is kept is the same when Slurm is not asked any more.
    monkeypatch.setenv("PATH", "/nowhere")
    assert usage_of([used], kept)[used] == job
    assert json.loads(kept.read_text())[used]["gpus"] == 2
