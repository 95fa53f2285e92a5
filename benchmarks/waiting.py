"""From the first word typed to the last receipt: six runs of 40 s on two nodes, beside a loop of sbatch and wandb sync.

Prints JSON lines, times in seconds:

    {"name": ..., "ours": ..., "other": ..., "more": ours - other, "limit": what `more` may be at most, or null}

Ours is `snakemake --profile profiles/narval` with its own pauses; the other submits six scripts with sbatch, waits for
them (`sbatch --wait`) and syncs each with `wandb sync`, in turn, as people do by hand. Both on the same cluster, one
after the other, against the same stand-in for W&B's server. The second line counts how often each asked Slurm.

Needs the test cluster (make cluster-up).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runferry_standin import running

ROOT = Path(__file__).resolve().parent.parent
RUNS = 6
ASKING = ("squeue", "sacct", "scontrol", "sinfo", "sacctmgr", "sshare")
TRAIN = """
import sys, time, wandb
with wandb.init() as run:
    until = time.monotonic() + float(sys.argv[1])
    step = 0
    while time.monotonic() < until:
        run.log({"loss": 1 / (step + 1)})
        step += 1
        time.sleep(0.5)
"""
SCRIPT = """#!/bin/bash
export WANDB_MODE=offline WANDB_DIR={folder}/by-hand-{number}
mkdir -p $WANDB_DIR
srun {python} {folder}/train.py {seconds} {number}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40, help="of each run (default: %(default)s)")
    given = parser.parse_args()
    if not shutil.which("sbatch") or subprocess.run(["scontrol", "ping"], check=False, capture_output=True).returncode:
        sys.exit("found no Slurm that answers; run: make cluster-up")
    with tempfile.TemporaryDirectory(prefix="runferry-benchmark-", dir=Path.home()) as temporary, running() as server:
        folder = Path(temporary)
        (folder / "train.py").write_text(TRAIN)
        environment = os.environ | server.environment | {"WANDB_ERROR_REPORTING": "false", "SBATCH_ACCOUNT": "def-test"}
        environment["PATH"] = os.pathsep.join(
            [str(counting(folder)), str(Path(sys.executable).parent), os.environ["PATH"]]
        )
        begin = time.monotonic()
        by_hand(folder, environment, given.seconds)
        theirs, asked_by_hand = time.monotonic() - begin, asked(folder)
        begin = time.monotonic()
        through_snakemake(folder, environment, given.seconds)
        ours, asked_by_us = time.monotonic() - begin, asked(folder)
        more = {"more": round(ours - theirs, 1), "limit": 10}
        print(
            json.dumps(
                {
                    "name": "from the first word to the last receipt",
                    "ours": round(ours, 1),
                    "other": round(theirs, 1),
                    **more,
                }
            )
        )
        print(json.dumps({"name": "questions to Slurm", "ours": asked_by_us, "other": asked_by_hand, "limit": None}))


def counting(folder: Path) -> Path:
    """Make a folder for PATH in which Slurm's programs write down that they were called, and then are the real ones."""
    bin_folder = folder / "counting"
    bin_folder.mkdir()
    for name in ASKING:
        file = bin_folder / name
        file.write_text(f'#!/bin/sh\necho {name} >>"{folder}/asked"\nexec {shutil.which(name)} "$@"\n')
        file.chmod(0o755)
    return bin_folder


def asked(folder: Path) -> dict[str, int]:
    """Count how often each program was called since the last count."""
    file = folder / "asked"
    lines = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return {name: lines.count(name) for name in ASKING if name in lines}


def by_hand(folder: Path, environment: dict[str, str], seconds: float) -> None:
    """Do what a bash loop does."""
    resources = ["--account=def-test_cpu", "--cpus-per-task=16", "--mem=2G", "--time=60", "--wait"]
    jobs: list[subprocess.Popen[str]] = []
    for number in range(RUNS):
        script = SCRIPT.format(folder=folder, number=number, python=sys.executable, seconds=seconds)
        job = subprocess.Popen(
            ["sbatch", *resources, f"--output={folder}/by-hand-{number}.out"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            cwd=folder,
            text=True,
        )
        assert job.stdin
        job.stdin.write(script)
        job.stdin.close()
        jobs.append(job)
    for job in jobs:
        if job.wait():
            sys.exit("a job of the loop's failed")
    for number in range(RUNS):
        (segment,) = (folder / f"by-hand-{number}" / "wandb").glob("offline-run-*")
        subprocess.run(
            ["wandb", "sync", str(segment)],
            env=environment,
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def through_snakemake(folder: Path, environment: dict[str, str], seconds: float) -> None:
    """Do the same with the profile of a site."""
    sweep = {
        "method": "grid",
        "parameters": {"n": {"values": list(range(RUNS))}},
        "command": [sys.executable, "train.py", str(seconds), "${args}"],
    }
    # Shorter ones would share jobs, one after the other.
    resources = {"cores": 16, "memory": "2G", "time": "1h"}
    config = {"wandb": {"project": "benchmark"}, "experiments": {"six": {"sweep": sweep, "resources": resources}}}
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--profile", str(ROOT / "profiles" / "narval")]
    with (folder / "snakemake.log").open("w") as log:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log, check=False)
    receipts = list((folder / "results" / "six").glob("*/receipt.json"))
    if done.returncode or len(receipts) != RUNS:
        sys.exit((folder / "snakemake.log").read_text())


if __name__ == "__main__":
    main()
