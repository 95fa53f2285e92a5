"""From a job's allocation to the first line of the user's command, and what the controller costs the login node.

Prints JSON lines, times in seconds, all but the last medians of the repetitions:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": what the ratio may be at most, or null}

Ours is a run of a sweep, submitted by Snakemake's Slurm plugin with a site's own profile (narval); the other is the
script of the page that the project starts from (`virtualenv --no-download`, `pip install --no-index`) with the same
packages, given to a bare sbatch on the same cluster. The clock starts when Slurm's Prolog makes the job's
$SLURM_TMPDIR. The first line is of runs without an environment to unpack, beside a bare sbatch whose script is
`srun python` and nothing else: what the launcher itself takes; `--without-environment` measures no more than that. The
second is with the environment, beside the page's script; the third the same beside the limit of 1.5 s. The last is the
CPU time of Snakemake and all that it starts on the login side, sync and verification included, for each run of a sweep
of 16, in seconds; there is nothing to put beside it.

Needs the test cluster (make cluster-up) and the wheels that make test downloads.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runferry_standin import running

ROOT = Path(__file__).resolve().parent.parent
WHEELS = Path(sys.prefix) / "wheels"
# The first line of the user's command: how long the job's node-local folder has been there.
FIRST_LINE = """
import os, subprocess, sys, time
now = time.time()
born = subprocess.run(["stat", "--format=%.9W", os.environ["SLURM_TMPDIR"]], capture_output=True, text=True).stdout
with open(sys.argv[1], "a") as file:
    file.write(f"{now - float(born)}\\n")
if "--log" in sys.argv:
    import wandb
    with wandb.init() as run:
        for step in range(10):
            run.log({"loss": step})
"""
PAGE = """#!/bin/bash
virtualenv --no-download $SLURM_TMPDIR/env
source $SLURM_TMPDIR/env/bin/activate
pip install --no-index --find-links={wheels} {packages}
python {script} {times}
"""
PLAIN = """#!/bin/bash
srun {python} {script} {times}
"""
PACKAGES = "numpy pandas scikit-learn wandb"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of each way (default: %(default)s)")
    parser.add_argument("--without-environment", action="store_true", help="measure the launcher alone")
    given = parser.parse_args()
    if not shutil.which("sbatch") or subprocess.run(["scontrol", "ping"], check=False, capture_output=True).returncode:
        sys.exit("found no Slurm that answers; run: make cluster-up")
    with tempfile.TemporaryDirectory(prefix="runferry-benchmark-", dir=Path.home()) as temporary, running() as server:
        folder = Path(temporary)
        (folder / "first.py").write_text(FIRST_LINE)
        (folder / "requirements.txt").write_text(PACKAGES.replace(" ", "\n") + "\n")
        environment = os.environ | server.environment | {"SBATCH_ACCOUNT": "def-test", "WANDB_ERROR_REPORTING": "false"}
        environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS)}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        ours: list[float] = []
        other: list[float] = []
        for number in range(given.repeat):
            ours += through_snakemake(folder, environment, f"plain{number}", 1, environment_too=False)[0]
            other += by_the_page(folder, environment, number, PLAIN)
        mine, theirs = statistics.median(ours), statistics.median(other)
        report("allocation to first line, without an environment, beside a bare srun", mine, theirs, None)
        if given.without_environment:
            return
        ours, other = [], []
        for number in range(given.repeat):
            ours += through_snakemake(folder, environment, f"one{number}", 1)[0]
            other += by_the_page(folder, environment, number)
            print(f"{number + 1}/{given.repeat}: ours {ours[-1]:.2f} s, page {other[-1]:.2f} s", file=sys.stderr)
        mine, theirs = statistics.median(ours), statistics.median(other)
        report("allocation to first line, beside the page's script", mine, theirs, 1.0)
        report("allocation to first line, beside 1.5 s", mine, 1.5, 1.0)
        _, cpu = through_snakemake(folder, environment, "many", 16, "--log")
        print(json.dumps({"name": "controller CPU seconds a run", "ours": cpu / 16, "other": None, "limit": None}))


def report(name: str, ours: float, other: float, limit: float | None) -> None:
    """Print one line."""
    line = {"name": name, "ours": round(ours, 3), "other": round(other, 3), "ratio": round(ours / other, 4)}
    print(json.dumps({**line, "limit": limit}), flush=True)


def through_snakemake(
    folder: Path, environment: dict[str, str], name: str, count: int, *options: str, environment_too: bool = True
) -> tuple[list[float], float]:
    """Train `count` runs with the profile of a site; return their waits and the CPU seconds of the login side."""
    times = folder / f"{name}.times"
    sweep = {
        "method": "grid",
        "parameters": {"n": {"values": list(range(count))}},
        "command": ["python" if environment_too else sys.executable, "first.py", str(times), "${args}", *options],
    }
    resources = {"gpus": 1, "cores": 2, "memory": "2G", "time": "15m"}
    config: dict[str, object] = {
        "wandb": {"project": "benchmark"},
        "experiments": {name: {"sweep": sweep, "resources": resources}},
    }
    if environment_too:
        config["environment"] = {"requirements": "requirements.txt"}
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "config.yaml").write_text(json.dumps(config))
    target = ["all"] if options else ["train_all"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
    command += ["--profile", str(ROOT / "profiles" / "narval"), *target]
    # Only so that the benchmark itself does not wait: none of these is in what is measured.
    command += ["--runferry-init-seconds-before-status-checks", "3", "--latency-wait", "5"]
    if environment_too and not (folder / "results" / "environments").exists():
        # The environment is built once and belongs to no run.
        subprocess.run([*command[:-5], "results/environments/default.json"], cwd=folder, env=environment, check=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (folder / "snakemake.log").open("w") as log:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit((folder / "snakemake.log").read_text())
    waits = [float(line) for line in times.read_text().splitlines()]
    return waits, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def by_the_page(folder: Path, environment: dict[str, str], number: int, page: str = PAGE) -> list[float]:
    """Give the page's script to sbatch, or another; return its wait."""
    times = folder / f"page{number}.times"
    times.unlink(missing_ok=True)
    words = {"wheels": WHEELS, "packages": PACKAGES, "python": sys.executable}
    script = page.format(**words, script=folder / "first.py", times=times)
    # The page's nodes have a Python module; here the machine's own is all there is.
    environment = {**environment, "SBATCH_ACCOUNT": "def-test_gpu"}
    subprocess.run(
        [
            "sbatch",
            "--wait",
            "--gpus=a100:1",
            "--cpus-per-task=2",
            "--mem=4G",
            "--time=15",
            f"--output={folder}/page.out",
        ],
        input=script,
        text=True,
        env=environment,
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    while not times.exists():
        time.sleep(0.1)
    return [float(line) for line in times.read_text().splitlines()]


if __name__ == "__main__":
    main()
