"""What a search saves against rounds, on the test cluster: runs whose lengths differ by up to ten, on as many places.

Prints JSON lines, in seconds of the wall clock, from the begin of the first training to the end of the last:

    {"name": "search", "ours": of the search, "other": of the rounds, "ratio": ..., "limit": 0.6}
    {"name": "idle place-seconds", "ours": ..., "other": ..., "ratio": ..., "limit": null}

Which length a run has follows from when it begins, the same list for both. The cluster is that of `make cluster-up`,
as root on Debian, and nothing else should be at work on it.

    python benchmarks/search.py                     # 40 runs of 8 to 80 seconds on 8 places: about twelve minutes
    python benchmarks/search.py --runs 16 --places 4
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from sync import report, say

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 0.6
SHORTEST = 8.0
"""Seconds; the longest is ten times that, and the lengths between are spread evenly on a logarithmic scale."""

TRAIN = """
import fcntl, json, os, time
begin = time.time()
with open("turn", "a") as turn:
    fcntl.flock(turn, fcntl.LOCK_EX)
    number = len(open("begun").readlines()) if os.path.exists("begun") else 0
    with open("begun", "a") as file:
        file.write("x\\n")
seconds = json.load(open("lengths.json"))[number]
import wandb
run = wandb.init()
run.log({"loss": (run.config.x - 1) ** 2})
run.finish()
time.sleep(max(0.0, begin + seconds - time.time()))
with open("truth.jsonl", "a") as file:
    file.write(json.dumps({"begin": begin, "end": time.time()}) + "\\n")
"""


def main() -> None:
    """Measure rounds and a search, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40, help="(default: %(default)s)")
    parser.add_argument("--places", type=int, default=8, help="runs at a time (default: %(default)s)")
    given = parser.parse_args()
    order = random.Random(0)
    lengths = [SHORTEST * 10 ** (number / (given.runs - 1)) for number in range(given.runs)]
    order.shuffle(lengths)
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        rounds = _measure(Path(name) / "rounds", lengths, {"runs_per_round": given.places})
        search = _measure(Path(name) / "search", lengths, {"parallel": given.places})
    for what, ours, other, limit in zip(("search", "idle place-seconds"), search, rounds, (LIMIT, None), strict=True):
        report(what, ours, other, limit)


def _measure(folder: Path, lengths: list[float], how: dict[str, int]) -> tuple[float, float]:
    """Train a sweep; return its wall time, and the seconds that its places stood empty in it."""
    (folder / "config").mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN)
    (folder / "lengths.json").write_text(json.dumps(lengths))
    sweep = {
        "program": "train.py",
        "method": "bayes",
        "command": [sys.executable, "${program}"],
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"min": -3.0, "max": 3.0}},
    }
    resources = {"memory": "300M", "cores": 1, "time": "5m"}
    section: dict[str, Any] = {"sweep": sweep, "count": len(lengths), "resources": resources, **how}
    config = {"wandb": {"project": "benchmark"}, "experiments": {"search": section}}
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    profile = ["--profile", str(ROOT / "profiles" / "narval"), "--max-jobs-per-timespan", "20/1s"]
    profile += ["--latency-wait", "5", "--runferry-init-seconds-before-status-checks", "3"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile"), *profile]
    environment |= {"SBATCH_ACCOUNT": "def-test", "PWD": str(folder)}
    done = subprocess.run(
        [*command, "train_all"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        say(done.stdout + done.stderr)
        sys.exit(1)
    truth = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    wall = max(one["end"] for one in truth) - min(one["begin"] for one in truth)
    trained = sum(one["end"] - one["begin"] for one in truth)
    say(f"{next(iter(how))}: {len(truth)} runs, {wall:.0f} s, {trained:.0f} s of training")
    return wall, min(how.values()) * wall - trained


if __name__ == "__main__":
    main()
