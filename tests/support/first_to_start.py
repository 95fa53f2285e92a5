"""Race jobs of runs against one another on the test cluster: `PYTHONPATH=tests python -m support.first_to_start`.

Each run has two jobs (`any_of`). Of most runs both may start at once, of every fifth the first waits for a GPU that
another job has. What has trained says so itself, in a file beside its run: two lines "begins" are a run trained twice.
"""

# ruff: noqa: T201 (what a person reads is printed here)

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry_standin import running
from support.slurm import cluster as slurm_cluster
from support.slurm.user import User, attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.slurm.cluster import Cluster

# It logs nothing: what is counted is who trains.
TRAIN = """
import os, pathlib, time
mine = os.environ["SLURM_JOB_ID"]
with pathlib.Path(os.environ["RUNFERRY_RUN_FOLDER"], "trained-by").open("a") as file:
    print("begins", mine, time.time(), file=file, flush=True)
    time.sleep(0.5)
    print("ends", mine, time.time(), file=file, flush=True)
"""
SCARCE, FREE = "a100_1g.5gb", "a100"
"""Of the first, one node has four."""
SECONDS = 5.0
"""In which the jobs that lose are to be gone, after another one has claimed the run's start."""


@dataclass(frozen=True)
class Outcome:
    """What a race came to."""

    run: Path
    trained_by: list[str]
    """The jobs that have begun to train, by the training's own word."""
    recorded: list[str]
    """The jobs of the run's attempts."""
    seconds: dict[str, float]
    """For each job that lost, from the claim to its end; Slurm says it in whole seconds, of which the last counts."""
    started: int
    """Of these, how many had started."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it, or None."""
        if len(self.trained_by) != 1 or self.recorded != self.trained_by:
            return f"{self.run}: trained by {self.trained_by}, recorded {self.recorded}, expected one and the same"
        slow = {job: seconds for job, seconds in self.seconds.items() if seconds > SECONDS}
        return f"{self.run}: found jobs that lost after {slow} s, expected {SECONDS:.0f} s at most" if slow else None


def config(races: int) -> dict[str, Any]:
    """The experiments: of every fifth run, the first job has to wait."""
    waiting = races // 5

    def experiment(runs: int, resources: dict[str, Any]) -> dict[str, Any]:
        command = [sys.executable, "-S", "train.py", "${args_no_hyphens}"]
        values = {"race": {"values": list(range(runs))}}
        sweep = {"program": "train.py", "method": "grid", "parameters": values, "command": command}
        return {"sweep": sweep, "resources": {"cores": 2, "memory": "256M", "time": "1h", **resources}}

    both = {"any_of": [{"memory": "256M"}, {"memory": "300M"}]}
    one = {"gpus": 1, "any_of": [{"gpu": SCARCE}, {"gpu": FREE}]}
    made = {"both": experiment(races - waiting, both)}
    return {**made, "waits": experiment(waiting, one)} if waiting else made


def occupy(cluster: Cluster, folder: Path) -> list[str]:
    """Take all GPUs of the scarce kind; return the jobs that have them."""
    asked = ["--account=def-test_gpu", f"--gpus={SCARCE}:1", "--mem=64M", "--wrap=sleep 3600", "--output=/dev/null"]
    jobs = [cluster.submit(*asked, cwd=folder) for _ in range(4)]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        states = cluster.run("squeue", "--noheader", "--format=%T", f"--jobs={','.join(jobs)}").split()
        if states == ["RUNNING"] * 4:
            return jobs
        time.sleep(0.5)
    cluster.run("scancel", *jobs)
    msg = f"found that not all jobs with {SCARCE} run, expected 4 free ones: {states}"
    raise RuntimeError(msg)


def outcomes(user: User) -> Iterator[Outcome]:
    """What came of each run, with Slurm's word on when its jobs ended."""
    lines = user.cluster.run(
        "env", "SLURM_TIME_FORMAT=%s", "sacct", "--noheader", "--parsable2", "--allocations",
        "--starttime=now-2hours", "--format=JobID,End,NodeList,WorkDir,Comment", "--allusers",
    ).splitlines()  # fmt: skip
    accounted = [line.split("|", 4) for line in lines]
    jobs: dict[str, list[str]] = {}
    for job, _, _, place, comment in accounted:
        if place == str(user.folder):
            jobs.setdefault(comment.rpartition("_")[2], []).append(job)
    ends = {job: end for job, end, *_ in accounted}
    had_node = {job for job, _, node, *_ in accounted if node != "None assigned"}
    for experiment in ("both", "waits"):
        for run in user.runs(experiment):
            (claim,) = run.glob("starts/first-*")
            winner, claimed = json.loads(claim.read_text())["job"], claim.stat().st_mtime
            losers = [job for job in jobs[run.name] if job != winner]
            ended = {job: float(ends[job]) + 1 - claimed if ends[job].isdigit() else float("inf") for job in losers}
            file = run / "trained-by"
            begun = [line.split()[1] for line in file.read_text().splitlines() if line.startswith("begins")]
            recorded = [record["job"] for record in attempts(run)]
            yield Outcome(run, begun, recorded, ended, len(had_node.intersection(losers)))


def main() -> int:
    """Race, and say what came of it."""
    parser = argparse.ArgumentParser(description="Races of two jobs for each of many runs, on the test cluster.")
    parser.add_argument("--races", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=16, help="runs at a time (%(default)s)")
    parser.add_argument("--seconds", type=int, default=900, help="after which they are ended (%(default)s)")
    parser.add_argument("--folder", type=Path, default=slurm_cluster.FOLDER, help="of the cluster (%(default)s)")
    options = parser.parse_args()
    cluster = slurm_cluster.found_in(options.folder)
    if cluster is None or not cluster.answers():
        print("found no cluster up, expected one; type: make cluster-up", file=sys.stderr)
        return 1
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="races-") as given, running(key="5ec2e7" * 7) as server:
        user = User(Path(given) / "scratch", cluster, TRAIN, **server.environment)
        user.configure(config(options.races))
        taken = occupy(cluster, user.folder)
        try:
            arguments = ["train_all", "--jobs", str(options.at_once), "--keep-going"]
            done = user.snakemake("narval", *arguments, seconds=options.seconds)
        finally:
            cluster.run("scancel", *taken, *user.jobs(), check=False)
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-8000:], file=sys.stderr)
            return 1
        # Accounting is told of an end a moment later.
        time.sleep(5)
        found = list(outcomes(user))
    return _report(found, options.races, time.monotonic() - begin)


def _report(found: list[Outcome], races: int, seconds: float) -> int:
    twice = sum(len(one.trained_by) > 1 for one in found)
    lost = [seconds for one in found for seconds in one.seconds.values()]
    problems = [one.problem for one in found if one.problem]
    if len(found) != races:
        problems.append(f"found {len(found)} races, expected {races}")
    counted = Counter(min(int(each), int(SECONDS) + 1) for each in lost)
    print(
        f"{len(found)} races in {seconds:.0f} s: {twice} runs trained twice, "
        f"{sum(len(one.trained_by) == 1 for one in found)} once; {len(lost)} jobs lost, "
        f"{sum(one.started for one in found)} of them had started; gone after {max(lost, default=0):.1f} s at most "
        f"(by whole seconds: {dict(sorted(counted.items()))})"
    )
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
