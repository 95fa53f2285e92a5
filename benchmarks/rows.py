"""What a training of a thousand rows a second costs more under runferry's launcher than with wandb alone.

Prints JSON lines, two for each wandb version:

    {"name": ..., "ours": s, "other": s, "ratio": ours / other, "limit": 1.05, at most}
    {"name": ..., "ours": us of CPU for each row of the process that stands between wandb and wandb-core, "other": 0}

The training works for about a millisecond, the same for each row, and logs what a training logs: some numbers. Its wall
time is taken from the first row to the end of `run.finish`. Both ways take turns, so that both have the machine as
busy as it is, and of each the fastest counts. Needs the training environments that `make test` makes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from runferry.runs.folder import RunFolder
from runferry.system.files import write_json
from runferry.trackers.wandb.log.segment import history

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import json, os, sys, time
from pathlib import Path
import wandb

rows, work, metrics, result = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

def cpu():
    # Of the process that owns wandb-core, where that is not this one's child.
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mark = f"RUNFERRY_RUN_FOLDER={os.environ['RUNFERRY_RUN_FOLDER']}".encode()
            if mark in (process / "environ").read_bytes() and (process / "comm").read_text() == "wandb-core\\n":
                parent = (process / "stat").read_text().rpartition(") ")[2].split()[1]
                fields = Path(f"/proc/{parent}/stat").read_text().rpartition(") ")[2].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, KeyError):
            continue
    return 0.0

def train(step):
    total = 0.0
    for number in range(work):
        total += number * 0.5
    return total

run = wandb.init()
before = cpu()
begin = time.perf_counter()
for step in range(rows):
    value = train(step)
    run.log({f"metric {number}": value + number for number in range(metrics)})
last = time.perf_counter()
used = cpu() - before
run.finish()
json.dump({"wall": time.perf_counter() - begin, "rate": rows / (last - begin), "cpu": used}, open(result, "w"))
"""


def main() -> None:
    """Train each way in turn and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000, help="of each training (default: %(default)d)")
    parser.add_argument("--turns", type=int, default=5, help="of each way (default: %(default)d)")
    parser.add_argument("--metrics", type=int, default=5, help="in each row (default: %(default)d)")
    parser.add_argument("--work", type=int, default=15_000, help="additions before each row (default: %(default)d)")
    given = parser.parse_args()
    pythons = {folder.name.split("-")[1]: folder / "bin" / "python" for folder in ROOT.glob(".venv/wandb-*/")}
    pythons["newest"] = Path(sys.executable)
    for version, python in sorted(pythons.items()):
        ours: list[dict[str, float]] = []
        other: list[dict[str, float]] = []
        for _ in range(given.turns):
            ours.append(_train(python, given, under_launcher=True))
            other.append(_train(python, given, under_launcher=False))
        rate = max(each["rate"] for each in other)
        name = f"{given.rows:,} rows of {given.metrics} metrics, {rate:,.0f} a second alone, wandb {version}"
        fastest, alone = (min(each["wall"] for each in way) for way in (ours, other))
        line = {"name": f"wall time in s of {name}", "ours": round(fastest, 3), "other": round(alone, 3)}
        print(json.dumps({**line, "ratio": round(fastest / alone, 3), "limit": 1.05}), flush=True)
        cost = min(each["cpu"] for each in ours) / given.rows * 1e6
        print(
            json.dumps({"name": f"CPU in us beside each row of {name}", "ours": round(cost, 1), "other": 0}), flush=True
        )


def _train(python: Path, given: argparse.Namespace, *, under_launcher: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary) / "results" / "experiment" / "run1")
        result = Path(temporary) / "result.json"
        words = [str(given.rows), str(given.work), str(given.metrics), str(result)]
        command = [str(python), "-c", SCRIPT, *words]
        wandb = {"project": "p", "entity": None, "group": "g", "tags": [], "mode": "offline", "base_url": None}
        run = {"id": "run1", "name": "run1", "experiment": "experiment", "command": command, "parameters": {}}
        write_json(folder.run_file, {**run, "workdir": temporary, "environment": None, "wandb": wandb})
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
        environment |= {"WANDB_ERROR_REPORTING": "false", "WANDB_X_DISABLE_STATS": "true", "HOME": temporary}
        if under_launcher:
            command = [sys.executable, "-m", "runferry", "launch", str(folder.path)]
        else:
            environment |= {"WANDB_MODE": "offline", "WANDB_DIR": str(folder.path), "WANDB_RUN_ID": "run1"}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        (segment,) = folder.segments()
        rows = sum(1 for _ in history(segment))
        if rows != given.rows:
            message = f"found {rows} rows on the disk, expected {given.rows}"
            raise SystemExit(message)
        return json.loads(result.read_text())


if __name__ == "__main__":
    main()
