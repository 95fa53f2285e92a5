"""What a thousand runs cost the login node: dry runs, starts with nothing to do, the controller's CPU, and files.

Prints JSON lines:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": the ratio to stay under}

The other is, of dry runs and starts, a bare Snakefile with as many rules and the same jobs, without parameters,
resources or logs, under the same profile (user and system CPU seconds: least of the repetitions, taken in turns); of
the controller, what a site or the project's own budget allows. The controller's CPU is that of Snakemake and all that
it starts on the login side, orphans and sync included; its memory is the most that these processes had at once (PSS).

    python benchmarks/scale.py                              # dry-run, no-op: four minutes
    python benchmarks/scale.py controller --runs 1000       # on the test cluster (make cluster-up): an hour
    python benchmarks/scale.py controller --packed          # the same as the profile has it: four runs of 15m in a job
    python benchmarks/scale.py idle                         # 100 jobs that wait; ten minutes, scaled to an hour; 24 GB
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import yaml

from runferry.runs.slurm import queued_jobs
from runferry_standin import running_process
from sync import PR_SET_CHILD_SUBREAPER, SNAKEMAKE, clean_environment, measured, report, say

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ["--profile", str(ROOT / "profiles" / "local")]
NARVAL = ["--profile", str(ROOT / "profiles" / "narval")]
RULES_BESIDE = ("train_all", "sync_all", "pack", "train_pack", "settle")
"""Rules of ours that have no job in what is measured."""
BARE = """
RUNS = [f"run{{number}}" for number in range({count})]
rule all:
    input: expand("bare/{{run}}/receipt.json", run=RUNS), "bare/report.html"
    localrule: True
rule environment:
    output: "bare/environment.json"
    shell: "touch {{output}}"
rule runs:
    output: "bare/runs.tsv"
    shell: "touch {{output}}"
rule train:
    input: "bare/runs.tsv", "bare/environment.json"
    output: "bare/{{run}}/trained.json"
    shell: "touch {{output}}"
rule sync:
    input: "bare/{{run}}/trained.json"
    output: "bare/{{run}}/receipt.json"
    localrule: True
    shell: "touch {{output}}"
rule report:
    input: "bare/runs.tsv", expand("bare/{{run}}/receipt.json", run=RUNS)
    output: "bare/report.html"
    localrule: True
    shell: "touch {{output}}"
"""
TRAIN = """
import sys, time, wandb
with wandb.init() as run:
    for step in range(10):
        run.log({"loss": 1 / (step + 1)})
time.sleep(float(sys.argv[1]))
"""
MINUTES_IDLE = 10


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"dry-run": dry_run, "no-op": no_op, "controller": controller, "idle": idle}
    parser.add_argument("measures", nargs="*", default=["dry-run", "no-op"], help=", ".join(measures))
    parser.add_argument("--runs", type=int, default=1000, help="of `controller` (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="of `dry-run` and `no-op` (default: %(default)s)")
    parser.add_argument(
        "--jobs", type=int, default=100, help="of `idle`; each takes 0.2 GB here (default: %(default)s)"
    )
    parser.add_argument("--packed", action="store_true", help="`controller` with packing as the profile has it")
    given = parser.parse_args()
    if unknown := set(given.measures) - set(measures):
        parser.error(f"found {', '.join(unknown)}, expected some of {', '.join(measures)}")
    # In the background of a shell SIGINT is ignored, and would be by all that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Orphans come to this process, so that what they used is counted.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in given.measures:
        with tempfile.TemporaryDirectory(prefix="runferry-benchmark-", dir=Path.home()) as folder:
            measures[name](Path(folder), given)


def dry_run(folder: Path, given: argparse.Namespace) -> None:
    """Measure dry runs of which nothing has been done."""
    seconds: dict[int, float] = {}
    for count in (1000, 5000):
        project = make_project(folder / str(count), count)
        ours, bare = in_turns(project, given.repeat, "-n", "--quiet")
        report(f"dry run of {count:,} runs, CPU s beside a bare workflow", ours, bare, 1.3)
        memory = peak_memory([*commands(project)[0], "-n", "--quiet"], project)
        say(f"dry run of {count:,} runs: {memory / 1e6:.0f} MB of memory")
        seconds[count] = ours
    report("dry run of 5,000 runs, CPU s beside five times 1,000", seconds[5000], 5 * seconds[1000], 1.0)


def no_op(folder: Path, given: argparse.Namespace) -> None:
    """Measure starts where 1,000 runs are done."""
    project = make_project(folder / "done", 1000)
    # Snakemake's own metadata belong to it, so each rule runs once, with commands that only make the outputs.
    (project / "bin").mkdir()
    stub = project / "bin" / "runferry"
    stub.write_text(STUB)
    stub.chmod(0o755)
    environment = os.environ | {"PATH": f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    for command in commands(project):
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    ours, bare = in_turns(project, given.repeat, "--quiet")
    report("start with 1,000 runs done, CPU s beside a bare workflow", ours, bare, 1.3)
    ours, bare = in_turns(project, given.repeat, "-n", "--quiet")
    report("dry run with 1,000 runs done, CPU s beside a bare workflow", ours, bare, 1.3)


STUB = """#!/bin/sh
for last; do :; done
case $1 in
launch) echo '{}' >"$last/trained.json" ;;
sync) echo '{}' >"$last/receipt.json" ;;
environment) mkdir -p "${last%/*}"; echo '{}' >"$last" ;;
report) for folder; do [ -d "$folder" ] && echo x >"$folder/report.html"; done ;;
esac
exit 0
"""


def controller(folder: Path, given: argparse.Namespace) -> None:
    """Measure all that a sweep costs the login side, from the first submission to the last receipt."""
    count = given.runs
    project = folder / "project"
    # Fifteen minutes are the reason that four share a job where packing is on; sixteen cores, that few run at once.
    experiment = {
        "sweep": sweep(count, [sys.executable, "train.py", "1", "${args}"]),
        "resources": {"cores": 4 if given.packed else 16, "memory": "2G", "time": "15m"},
        **({} if given.packed else {"packing": False}),
    }
    configure(project, {"many": experiment})
    (project / "train.py").write_text(TRAIN)
    clean_environment(folder)
    with running_process() as server:
        os.environ |= server.environment | {"SBATCH_ACCOUNT": "def-test"}
        command = [*SNAKEMAKE[:5], *NARVAL]
        with (project / "snakemake.log").open("w") as log:
            cost = measured(
                lambda: subprocess.run(command, cwd=project, stdout=log, stderr=log, check=False) and None, server
            )
    receipts = len(list(project.glob("results/many/*/receipt.json")))
    if receipts != count:
        shutil.copy(project / "snakemake.log", "/tmp/runferry-scale.log")
        sys.exit(f"{receipts} of {count} runs have a receipt; see /tmp/runferry-scale.log")
    how = "packed" if given.packed else "a job each"
    say(f"{count} runs, {how}: {cost.cpu:.1f} CPU s, {cost.wall:.0f} s, {cost.bytes / 1e6:.0f} MB")
    report(f"{count:,} runs ({how}), controller's CPU s beside a share of 600", cost.cpu, 600 * count / 1000, 0.5)
    report(f"{count:,} runs ({how}), controller's GB beside the site's 4", cost.bytes / 1e9, 4.0, 0.25)
    report_files(project, count, how)


def report_files(project: Path, count: int, how: str) -> None:
    """Count what is on the shared filesystem, by the folder that it is in; a file with several names counts once."""
    found: dict[str, int] = {}
    files: set[int] = set()
    folders = 0
    for file in project.rglob("*"):
        if file.is_dir() and not file.is_symlink():
            folders += 1
        elif file.lstat().st_ino in files:
            continue
        else:
            files.add(file.lstat().st_ino)
        part = file.relative_to(project).parts
        place = "/".join(part[3:] if part[0] == "results" and len(part) > 3 else part[:2])
        # Of whichever run, and of whichever moment.
        place = re.sub(r"\d", "#", re.sub(r"[0-9a-z]{12}", "*", place))
        found[place] = found.get(place, 0) + 1
    for place, number in sorted(found.items(), key=lambda item: -item[1])[:25]:
        say(f"{number / count:8.2f} a run  {place}")
    report(f"files a run ({how}), Snakemake's own included, beside 12", len(files) / count, 12.0, 1.0)
    say(f"{folders / count:8.2f} folders a run besides")


def idle(folder: Path, given: argparse.Namespace) -> None:
    """Measure the controller while jobs run, polling as the profile has it."""
    count = given.jobs
    project = folder / "project"
    resources = {"cores": 2, "memory": "2G", "time": "2h"}
    configure(project, {"many": {"sweep": sweep(count, ["sleep", "3600"]), "resources": resources}})
    clean_environment(folder)
    os.environ |= {"SBATCH_ACCOUNT": "def-test"}
    command = [*SNAKEMAKE[:5], *NARVAL, "train_all"]
    with (project / "snakemake.log").open("w") as log:
        process = subprocess.Popen(command, cwd=project, stdout=log, stderr=log)
        while running_jobs(project) < count:
            if process.poll() is not None:
                sys.exit((project / "snakemake.log").read_text())
            time.sleep(5)
        before = cpu_of(process.pid)
        time.sleep(60 * MINUTES_IDLE)
        used = (cpu_of(process.pid) - before) * 60 / MINUTES_IDLE
        report(f"an hour with {count} jobs running, from {MINUTES_IDLE} minutes, CPU s beside 10", used, 10.0, 1.0)
        # As Ctrl-C: it cancels its jobs, and no others.
        process.send_signal(signal.SIGINT)
        process.wait()


def cpu_of(pid: int) -> float:
    """Return what a process and its children, those that ended too, have used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def sweep(count: int, command: list[str]) -> dict[str, object]:
    """Make a sweep over whole numbers."""
    return {"method": "grid", "parameters": {"n": {"values": list(range(count))}}, "command": command}


def configure(project: Path, experiments: dict[str, object], **rest: object) -> None:
    """Write a project's config."""
    (project / "config").mkdir(parents=True)
    config = {"wandb": {"project": "benchmark"}, "experiments": experiments, **rest}
    (project / "config" / "config.yaml").write_text(yaml.safe_dump(config))


def make_project(project: Path, count: int) -> Path:
    """Make a project with a sweep of so many runs, and a bare Snakefile with as many jobs."""
    configure(
        project,
        {"many": {"sweep": sweep(count, ["true", "${args}"])}},
        environment={"requirements": "requirements.txt"},
    )
    (project / "requirements.txt").touch()
    bare = BARE.format(count=count)
    bare += "".join(f'rule {rule}:\n    output: "unused/{rule}"\n    shell: "true"\n' for rule in RULES_BESIDE)
    (project / "bare.smk").write_text(bare)
    return project


def commands(project: Path) -> tuple[list[str], list[str]]:
    """Return how Snakemake is started for ours and for the bare workflow."""
    start = [sys.executable, "-m", "snakemake", *LOCAL, "--snakefile"]
    return [*start, str(ROOT / "workflow" / "Snakefile")], [*start, str(project / "bare.smk")]


def in_turns(project: Path, repeat: int, *options: str) -> tuple[float, float]:
    """Return the CPU seconds of ours and of the bare workflow, the least of the repetitions."""
    ours, bare = commands(project)
    pairs = [(cpu_seconds([*ours, *options], project), cpu_seconds([*bare, *options], project)) for _ in range(repeat)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


def cpu_seconds(command: Sequence[str], project: Path) -> float:
    """Run a command and return what it used with all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_memory(command: Sequence[str], project: Path) -> int:
    """Run a command and return the bytes of memory that it, or the largest of its children, had at most."""
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return os.wait4(process.pid, 0)[2].ru_maxrss * 1024


def running_jobs(project: Path) -> int:
    """Count the running jobs that were submitted from a folder."""
    return sum(job.state == "RUNNING" and job.folder == str(project) for job in queued_jobs() or ())


if __name__ == "__main__":
    main()
