"""What starts cost here and in another checkout: a sync of a run with a receipt, the help, the dry run of 1,000 runs.

Prints JSON lines:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": the ratio to stay under}

CPU seconds of whole processes, medians of several in turn, because the machine may be busy. The other checkout is one
with its own `.venv` (make setup), such as the version before a change.

    python benchmarks/starts.py ../before    # two minutes
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1.05
"""Not slower, within what such a machine scatters."""
WRITER = """
import json, sys
from pathlib import Path
try:
    from runferry.runs.receipt_stamp import stamp
except ImportError:
    from runferry.receipt_stamp import stamp
folder = Path(sys.argv[1])
log = folder / "wandb" / "offline-run-20260101_000000-r" / "run-r.wandb"
log.parent.mkdir(parents=True)
log.write_bytes(b"")
server = "http://127.0.0.1:1"
(folder / "run.json").write_text(json.dumps({"id": "r", "name": "n", "wandb": {"project": "p", "base_url": server}}))
(folder / "trained.json").write_text("{}")
segments = [{"name": log.parent.name, **stamp(log)}]
(folder / "receipt.json").write_text(json.dumps({"base_url": server, "segments": segments, "unreadable": {}}))
"""
SWEEP = "method: grid\nparameters: {n: {values: [%s]}}\ncommand: [python, train.py, '${args}']\n"
CONFIG = """
wandb: {project: p}
experiments: {e: {sweep: sweep.yaml, resources: {cores: 1, memory: 1G, time: 10m}}}
"""


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, metavar="CHECKOUT")
    parser.add_argument("--repeat", type=int, default=7)
    given = parser.parse_args()
    checkouts = (ROOT, given.other.resolve())
    with tempfile.TemporaryDirectory(prefix="runferry-benchmark-") as name:
        folder = Path(name)
        run = folder / "results" / "e" / "r"
        subprocess.run([ROOT / ".venv" / "bin" / "python", "-c", WRITER, run], check=True)
        (folder / "sweep.yaml").write_text(SWEEP % ", ".join(map(str, range(1000))))
        (folder / "config").mkdir()
        (folder / "config" / "config.yaml").write_text(CONFIG)
        (folder / "train.py").write_text("")
        commands = {
            "sync of a run with a receipt": ["-m", "runferry", "sync", "--with-trained", "--log", "log", str(run)],
            "help": ["-m", "runferry", "--help"],
            "dry run of 1,000 runs": ["-m", "snakemake", "-n", "--quiet", "all", "--cores", "1"],
        }
        for what, words in commands.items():
            times: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
            for _ in range(given.repeat):
                for checkout in checkouts:
                    more = ["--snakefile", str(checkout / "workflow" / "Snakefile")] if "snakemake" in words else []
                    more += ["--config", "cluster=local"] if more else []
                    times[checkout].append(cpu_seconds([checkout / ".venv" / "bin" / "python", *words, *more], folder))
            ours, other = (statistics.median(times[checkout]) for checkout in checkouts)
            line = {"name": what, "ours": round(ours, 3), "other": round(other, 3), "ratio": round(ours / other, 3)}
            print(json.dumps({**line, "limit": LIMIT}), flush=True)


def cpu_seconds(command: list[str | Path], folder: Path) -> float:
    """Run a command in a folder and return the CPU time of its process, in seconds.

    Raises
    ------
    CalledProcessError
        When it fails.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": ""}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
