"""What `runferry status` costs with 1,000 runs, beside reading all of their segments whole.

Prints JSON lines:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": the CPU seconds to stay under}

The runs are one real run of the installed wandb (100 rows), copied; 500 have receipts. `other` reads every segment with
`read_segment`, in a process of its own. CPU seconds of whole processes, because the machine may be
busy.

    python benchmarks/status.py    # about a minute
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from runferry.runs.receipt_stamp import logs_on_disk, stamp

RUNS, ROWS = 1000, 100
LIMITS = {"first": 5.0, "again": 3.0}
"""CPU seconds, set before anything was measured."""
SERVER = "http://127.0.0.1:1"
WRITER = f"""
import sys, wandb
run = wandb.init(mode="offline", dir=sys.argv[1], id="run", settings=wandb.Settings(silent=True, console="off"))
for step in range({ROWS}):
    run.log({{"loss": 1 / (step + 1), "accuracy": step / {ROWS}}})
run.finish()
"""
READER = """
import sys, pathlib
from runferry.trackers.wandb.log.segment import read_segment
for path in pathlib.Path(sys.argv[1]).glob("*/*/wandb/offline-run-*"):
    read_segment(path)
"""


def main() -> None:
    """Measure."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory(prefix="runferry-benchmark-") as name:
        results = Path(name) / "results"
        write_runs(results)
        other = cpu_seconds([sys.executable, "-c", READER, str(results)])
        status = [sys.executable, "-m", "runferry", "status", "--metric", "accuracy", str(results)]
        for look in ("first", "again"):
            ours = cpu_seconds(status)
            line = {"name": f"status of {RUNS} runs, {look}", "ours": round(ours, 2), "other": round(other, 2)}
            print(json.dumps({**line, "ratio": round(ours / other, 3), "limit": LIMITS[look]}), flush=True)


def write_runs(results: Path) -> None:
    """Lay the runs down."""
    subprocess.run([sys.executable, "-c", WRITER, str(results.parent)], check=True, capture_output=True)
    [segment] = (results.parent / "wandb").glob("offline-run-*")
    for number in range(RUNS):
        folder = results / "digits" / f"r{number:04d}"
        folder.mkdir(parents=True)
        wandb = {"project": "p", "base_url": SERVER}
        (folder / "run.json").write_text(json.dumps({"id": folder.name, "name": f"n={number}", "wandb": wandb}))
        (folder / "trained.json").write_text("{}")
        (folder / "attempts").mkdir()
        shutil.copytree(segment, folder / "wandb" / segment.name, symlinks=True)
        if number % 2:
            entries = [{"name": name, **stamp(file)} for name, file in logs_on_disk(str(folder)).items()]
            receipt = {"base_url": SERVER, "segments": entries, "unreadable": {}, "server": {"history_lines": ROWS}}
            (folder / "receipt.json").write_text(json.dumps(receipt))


def cpu_seconds(command: list[str]) -> float:
    """Run a command and return the CPU time of its process, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
