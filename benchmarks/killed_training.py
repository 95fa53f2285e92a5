"""How much of what a run logged is on disk after it was killed: under runferry's launcher, and with wandb alone.

Prints JSON lines, one for each wandb version and each way of ending:

    {"name": ..., "ours": rows kept, "other": rows kept, "ratio": ours / rows logged, "limit": 1.0, at least}

A script logs 10 rows and waits. Then either its process gets SIGKILL, or every process that belongs to it (wandb's own
and, here, the launcher too) gets SIGTERM at once, upon which the script finishes its run and exits. Needs the training
environments that `make test` makes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from runferry.runs.folder import RunFolder
from runferry.system.files import write_json
from runferry.trackers.wandb.log.segment import read_segment

ROOT = Path(__file__).resolve().parent.parent
ROWS = 10
SCRIPT = """
import os, pathlib, signal, sys, time, wandb

def stop(*_):
    run.finish()
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
run = wandb.init()
for step in range(int(sys.argv[1])):
    run.log({"loss": step})
pathlib.Path(os.environ["READY"]).write_text(str(os.getpid()))
while True:
    time.sleep(0.05)
"""


def main() -> None:
    """Run every version both ways and print what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    pythons = {folder.name.split("-")[1]: folder / "bin" / "python" for folder in ROOT.glob(".venv/wandb-*/")}
    pythons["newest"] = Path(sys.executable)
    for version, python in sorted(pythons.items()):
        for way in ("SIGKILL to the training process", "SIGTERM to every process"):
            ours = kept(python, way, under_launcher=True)
            other = kept(python, way, under_launcher=False)
            line = {"name": f"rows kept of {ROWS}, {way}, wandb {version}", "ours": ours, "other": other}
            print(json.dumps({**line, "ratio": ours / ROWS, "limit": 1.0}), flush=True)


def kept(python: Path, way: str, *, under_launcher: bool) -> int:
    """Log, end the run that way, and count the rows on disk."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary) / "results" / "experiment" / "run1")
        ready = Path(temporary) / "ready"
        command = [str(python), "-c", SCRIPT, str(ROWS)]
        wandb = {"project": "p", "entity": None, "group": "g", "tags": [], "mode": "offline", "base_url": None}
        run = {"id": "run1", "name": "run1", "experiment": "experiment", "command": command, "parameters": {}}
        write_json(folder.run_file, {**run, "workdir": temporary, "environment": None, "wandb": wandb})
        environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
        environment |= {"READY": str(ready), "WANDB_ERROR_REPORTING": "false", "HOME": temporary}
        if under_launcher:
            command = [sys.executable, "-m", "runferry", "launch", str(folder.path)]
        else:
            environment |= {"WANDB_MODE": "offline", "WANDB_DIR": str(folder.path), "WANDB_RUN_ID": "run1"}
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while not ready.exists() or not ready.read_text():
            time.sleep(0.02)
        # What was logged is on its way to wandb's process: that is not what is asked for here.
        time.sleep(0.5)
        if way.startswith("SIGKILL"):
            os.kill(int(ready.read_text()), signal.SIGKILL)
        else:
            everyone = psutil.Process(process.pid)
            for member in [everyone, *everyone.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.send_signal(signal.SIGTERM)
        process.wait()
        # wandb alone: whatever it still writes by itself counts too.
        time.sleep(1.0)
        return sum(read_segment(segment).history_count for segment in folder.segments())


if __name__ == "__main__":
    main()
