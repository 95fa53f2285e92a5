"""The processes of a training's job and their memory, beside those of a bare sbatch of the same script.

Prints JSON lines, memory in MB (10^6 bytes): one for each process of the job (those in its control group),

    {"job": "ours" or "bare", "process": ..., "training": true or false, "pss": ..., "rss": ...}

and the sums of what is not the training's own (the training is the user's command and wandb-core):

    {"name": ..., "ours": ..., "bare": ..., "limit": what ours may be at most}

PSS divides a page among the processes that share it, so that a sum of it is what they have together. With `--least` a
third line has the least `memory` in MiB with which a run that logs one row comes to its end, by trying, and the same of
a command that does nothing; `--python` names another interpreter with wandb for it.

Needs the test cluster, with processes tracked by cgroup (make cluster-up).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from runferry_standin import running

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MB = 120
# Logs for a while; then writes down the processes of its job.
TRAIN = """
import json, os, pathlib, re, sys, time, wandb

run = wandb.init()
for step in range(20):
    run.log({"loss": step})
    time.sleep(0.1)
job = os.environ["SLURM_JOB_ID"]
found = []
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if f"/job_{job}/" not in (process / "cgroup").read_text():
            continue
        words = (process / "cmdline").read_bytes().decode().split("\\0")
        memory = dict(re.findall(r"(\\w+): +(\\d+) kB", (process / "smaps_rollup").read_text()))
    except OSError:
        continue
    found.append({
        "process": " ".join(words)[:100].strip(),
        "training": int(process.name) == os.getpid() or "wandb-core" in words[0],
        "pss": round(int(memory["Pss"]) * 1.024e-3, 1),
        "rss": round(int(memory["Rss"]) * 1.024e-3, 1),
    })
run.finish()
pathlib.Path(sys.argv[1]).write_text(json.dumps(found))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--least", action="store_true", help="find the least memory that a run comes to its end with")
    parser.add_argument("--python", default=sys.executable, help="the training's interpreter for --least")
    given = parser.parse_args()
    if not shutil.which("sbatch") or subprocess.run(["scontrol", "ping"], check=False, capture_output=True).returncode:
        sys.exit("found no Slurm that answers; run: make cluster-up")
    with tempfile.TemporaryDirectory(prefix="runferry-benchmark-", dir=Path.home()) as temporary, running() as server:
        folder = Path(temporary)
        environment = os.environ | server.environment | {"WANDB_ERROR_REPORTING": "false", "SBATCH_ACCOUNT": "def-test"}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        (folder / "train.py").write_text(TRAIN)
        command = [sys.executable, "train.py", str(folder / "ours.json")]
        if not through_snakemake(folder, environment, "2G", command):
            sys.exit((folder / "snakemake.log").read_text())
        bare(folder, environment)
        sums: dict[str, Any] = {}
        for job in ("ours", "bare"):
            processes: list[dict[str, Any]] = json.loads((folder / f"{job}.json").read_text())
            for process in sorted(processes, key=lambda one: one["pss"]):
                print(json.dumps({"job": job, **process}))
            sums[job] = {
                kind: round(sum(one[kind] for one in processes if not one["training"]), 1) for kind in ("pss", "rss")
            }
        for kind in ("pss", "rss"):
            name = f"memory of a job besides the training's, MB, {kind}"
            print(json.dumps({"name": name, "ours": sums["ours"][kind], "bare": sums["bare"][kind], "limit": LIMIT_MB}))
        if given.least:
            (folder / "row.py").write_text("import wandb\nwandb.init().log({'loss': 1})\n")
            row, nothing = (
                least(folder, environment, command) for command in ([given.python, "row.py"], ["/bin/true"])
            )
            print(json.dumps({"name": "least memory of a run that logs a row, MiB", "ours": row, "nothing": nothing}))


def through_snakemake(folder: Path, environment: dict[str, str], memory: str, command: list[str]) -> bool:
    """Train one run with the profile of a site; return whether it came to its end."""
    shutil.rmtree(folder / "results", ignore_errors=True)
    resources = {"cores": 2, "memory": memory, "time": "1h"}
    experiment = {"command": command, "resources": resources, "attempts": 1}
    (folder / "config").mkdir(exist_ok=True)
    config = {"wandb": {"project": "benchmark"}, "experiments": {"one": experiment}}
    (folder / "config" / "config.yaml").write_text(json.dumps(config))
    call = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile"), "train_all"]
    call += ["--profile", str(ROOT / "profiles" / "narval"), "--runferry-init-seconds-before-status-checks", "3"]
    with (folder / "snakemake.log").open("w") as log:
        return subprocess.run(call, cwd=folder, env=environment, stdout=log, stderr=log, check=False).returncode == 0


def bare(folder: Path, environment: dict[str, str]) -> None:
    """Give the same script to sbatch."""
    script = f"#!/bin/bash\nexport WANDB_MODE=offline\nsrun {sys.executable} train.py {folder}/bare.json\n"
    options = ["--wait", "--account=def-test_cpu", "--cpus-per-task=2", "--mem=2G", "--time=60"]
    options.append(f"--output={folder}/bare.out")
    subprocess.run(["sbatch", *options], input=script, text=True, env=environment, cwd=folder, check=True)


def least(folder: Path, environment: dict[str, str], command: list[str]) -> int:
    """Return the least memory with which a run comes to its end, in MiB."""
    too_little, enough = 4, 256
    while enough - too_little > 2:
        middle = (enough + too_little) // 2
        if through_snakemake(folder, environment, f"{middle}M", command):
            enough = middle
        else:
            too_little = middle
        print(f"between {too_little} and {enough} MiB", file=sys.stderr)
    return enough


if __name__ == "__main__":
    main()
