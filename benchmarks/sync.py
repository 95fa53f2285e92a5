"""What it costs to bring runs to the server and to verify them: runferry beside `wandb sync`.

Prints JSON lines:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": the ratio or the figure to stay under}

The runs are one real run of the installed wandb, copied with other ids; the server is the stand-in, in a process of its
own that is not counted. CPU seconds are those of the whole process tree, orphans included.

    python benchmarks/sync.py                  # all of it: about six minutes
    python benchmarks/sync.py many latency     # some of: many, long, thousand, latency
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import yaml

from runferry.system.files import write_json
from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from runferry_standin import running_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from runferry_standin import ProcessStandIn

ROOT = Path(__file__).resolve().parent.parent
RUNFERRY = Path(sys.executable).with_name("runferry")
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile")]
SNAKEMAKE += ["--profile", str(ROOT / "profiles" / "local")]
SCRIPT = """
import sys, wandb
run = wandb.init(config={"lr": 0.1})
for step in range(int(sys.argv[1])):
    run.log({f"metric{number}": step / (number + 1) for number in range(int(sys.argv[2]))})
run.finish()
"""
PER_RULE = 0.04
"""CPU seconds that a `runferry sync` may cost beyond its share of one `wandb sync` of all."""
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Cost:
    """What a command cost, with all that it started."""

    cpu: float
    wall: float
    bytes: int
    """Of memory at most, the sum of the processes' own (PSS)."""


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"many": many, "long": long_runs, "thousand": thousand, "latency": latency}
    parser.add_argument("measures", nargs="*", choices=[*measures, []], help="which (default: all)")
    given = parser.parse_args()
    # Orphans come to this process, so that what they used is counted.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in given.measures or measures:
        with tempfile.TemporaryDirectory(prefix="runferry-benchmark-") as folder:
            measures[name](Path(folder))


def many(folder: Path) -> None:
    """Measure 100 runs of 100 steps with 3 metrics, each with a rule of its own."""
    runs = make_runs(folder, 100, 100, 3)
    loop = on_a_server(folder, runs, each_by_itself)
    at_once, requests_at_once = counted(folder, runs, all_at_once)
    rules = on_a_server(folder, runs, snakemake)
    ours, requests = counted(folder, runs, rules_alone)
    report("100 runs, CPU s, with Snakemake beside a wandb sync for each", rules.cpu, loop.cpu, 0.1)
    report("100 runs, wall s, with Snakemake beside a wandb sync for each", rules.wall, loop.wall, None)
    limit = (at_once.cpu + PER_RULE * len(runs)) / at_once.cpu
    report("100 runs, CPU s, the runferry sync processes beside one wandb sync of all", ours.cpu, at_once.cpu, limit)
    report("100 runs, wall s, the runferry sync processes beside one wandb sync of all", ours.wall, at_once.wall, None)
    # One question a run reads its rows back, and some ask for many runs at once.
    report("100 runs, requests beside one wandb sync of all", requests, requests_at_once, 1.2)


def long_runs(folder: Path) -> None:
    """Measure 20 runs of 10,000 steps with 10 metrics."""
    runs = make_runs(folder, 20, 10_000, 10)
    at_once = on_a_server(folder, runs, all_at_once)
    ours = on_a_server(folder, runs, rules_alone)
    limit = (1.2 * at_once.cpu + PER_RULE * len(runs)) / at_once.cpu
    report("20 runs of 10,000 steps, CPU s beside one wandb sync of all", ours.cpu, at_once.cpu, limit)
    report("20 runs of 10,000 steps, wall s beside one wandb sync of all", ours.wall, at_once.wall, None)


def thousand(folder: Path) -> None:
    """Measure 1,000 runs, from the first rule to the last receipt, beside what a login node allows a process."""
    cost = on_a_server(folder, make_runs(folder, 1000, 100, 3), snakemake)
    report("1,000 runs, CPU s of everything beside the site's 600", cost.cpu, 600.0, 120 / 600)
    report("1,000 runs, GB of everything beside the site's 4", cost.bytes / 1e9, 4.0, 1 / 4)


def latency(folder: Path) -> None:
    """Measure 100 runs with 100 ms added to every answer."""
    runs = make_runs(folder, 100, 100, 3)
    slow = {"match": "*", "slow": 0.1}
    at_once = on_a_server(folder, runs, all_at_once, slow)
    ours = on_a_server(folder, runs, by_hand, slow)
    report("100 runs, wall s with 100 ms of latency beside one wandb sync of all", ours.wall, at_once.wall, None)
    report("100 runs, wall s with 100 ms of latency beside 6 s", ours.wall, 6.0, 1.0)


def each_by_itself(runs: list[Path]) -> None:
    """Sync as loops do."""
    for run in runs:
        wandb_sync(run)


def all_at_once(runs: list[Path]) -> None:
    """Sync in one process, as somebody does who knows, and without looking what became of it."""
    wandb_sync(*runs)


def wandb_sync(*runs: Path) -> None:
    """Call `wandb sync` for the segments of runs."""
    segments = [str(next(run.glob("wandb/offline-run-*"))) for run in runs]
    subprocess.run([sys.executable, "-m", "wandb", "sync", *segments], check=True, capture_output=True, cwd=runs[0])


def snakemake(runs: list[Path]) -> None:
    """Run the rules."""
    project = runs[0].parents[2]
    command = [*SNAKEMAKE, "--until", "sync"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    check(runs)


def rules_alone(runs: list[Path]) -> None:
    """Run what the rules run, two at a time as Snakemake does on two cores, without Snakemake."""
    commands = "\n".join(f"{RUNFERRY} sync --with-trained --log {run / 'sync.log'} {run}" for run in runs)
    subprocess.run(["xargs", "-P2", "-I{}", "sh", "-c", "exec {}"], input=commands, text=True, check=True)
    check(runs)


def by_hand(runs: list[Path]) -> None:
    """Sync a whole experiment as a person does."""
    subprocess.run([RUNFERRY, "sync", runs[0].parent], check=True, capture_output=True)
    check(runs)


def check(runs: list[Path]) -> None:
    """End the whole where a run has no receipt: then nothing was measured."""
    without = [run for run in runs if not (run / "receipt.json").exists()]
    if without:
        sys.exit(f"{len(without)} of {len(runs)} runs have no receipt, such as {without[0]}")


def make_runs(folder: Path, count: int, steps: int, metrics: int) -> list[Path]:
    """Make a project with so many trained runs that were not synced."""
    say(f"writing {count} runs of {steps} steps")
    project = folder / f"project-{count}"
    sweep = {"method": "grid", "parameters": {"n": {"values": list(range(count))}}, "command": ["true", "${args}"]}
    config = {"wandb": {"project": "benchmark"}, "experiments": {"experiment": {"sweep": sweep}}}
    (project / "config").mkdir(parents=True)
    (project / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    clean_environment(folder)
    subprocess.run([*SNAKEMAKE, "--until", "runs"], cwd=project, check=True, capture_output=True)
    one = folder / f"one-{count}"
    one.mkdir()
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_DIR": str(one), "WANDB_PROJECT": "benchmark"}
    # As the launcher has it.
    environment |= {"WANDB_RUN_ID": "one", "WANDB_SILENT": "true", "WANDB_RESUME": "allow"}
    subprocess.run([sys.executable, "-c", SCRIPT, str(steps), str(metrics)], env=environment, cwd=one, check=True)
    segment = next(one.glob("wandb/offline-run-*"))
    records = list(TransactionLog(segment / "run-one.wandb"))
    runs = sorted(file.parent for file in project.glob("results/experiment/*/run.json"))
    for run in runs:
        copy = run / "wandb" / segment.name.replace("-one", f"-{run.name}")
        shutil.copytree(segment, copy, ignore=shutil.ignore_patterns("*.wandb"))
        write_log(copy / f"run-{run.name}.wandb", renamed(records, run.name))
        write_json(run / "trained.json", {})
    return runs


def renamed(records: list[bytes], run: str) -> list[bytes]:
    """Give the records of a run to another one."""
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportAttributeAccessIssue] - made at run time

    copies: list[bytes] = []
    for payload in records:
        record = Record.FromString(payload)
        if record.HasField("run"):
            record.run.run_id = run
            payload = record.SerializeToString()  # noqa: PLW2901
        copies.append(payload)
    return copies


def counted(folder: Path, runs: list[Path], way: Callable[[list[Path]], None]) -> tuple[Cost, int]:
    """Measure a way, and count its requests but for telemetry, which goes to another place."""
    total = 0

    def look(server: ProcessStandIn) -> None:
        nonlocal total
        counts = server.requests()["counts"]
        say(json.dumps(counts))
        total = sum(count for kind, count in counts.items() if kind != "telemetry")

    return on_a_server(folder, runs, way, look=look), total


def on_a_server(
    folder: Path,
    runs: list[Path],
    way: Callable[[list[Path]], None],
    *rules: dict[str, object],
    look: Callable[[ProcessStandIn], None] = lambda _server: None,
) -> Cost:
    """Measure a way to sync runs to a server that has none of them."""
    for run in runs:
        for left in (*run.glob("receipt.json"), *run.glob("wandb/*/*.sync*")):
            left.unlink()
        shutil.rmtree(run.parents[1] / ".sync", ignore_errors=True)
    clean_environment(folder)
    with running_process() as server:
        server.faults(*rules)
        os.environ |= server.environment
        cost = measured(lambda: way(runs), server)
        look(server)
    say(f"{way.__name__}, {len(runs)} runs: {cost.cpu:.2f} CPU s, {cost.wall:.2f} s, {cost.bytes / 1e6:.0f} MB")
    return cost


def measured(way: Callable[[], None], server: ProcessStandIn) -> Cost:
    """Measure a way with all the processes that it starts."""
    over = threading.Event()
    peak = 0

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.2):
            total = 0
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    total += 0 if process.pid == server.process.pid else process.memory_full_info().pss
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    watcher.start()
    begun = time.perf_counter()
    way()
    wall = time.perf_counter() - begun
    over.set()
    watcher.join()
    for orphan in psutil.Process().children():
        if orphan.pid != server.process.pid:
            with contextlib.suppress(psutil.Error, ChildProcessError):
                os.waitpid(orphan.pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall, peak)


def clean_environment(folder: Path) -> None:
    """Let nothing of the person who measures reach what is measured."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "SLURM_", "SNAKEMAKE_", "CC_"))]:
        del os.environ[name]
    os.environ |= {"HOME": str(folder), "WANDB_ERROR_REPORTING": "false"}
    os.environ["PATH"] = os.pathsep.join([str(RUNFERRY.parent), os.environ.get("PATH", os.defpath)])


def report(name: str, ours: float, other: float, limit: float | None) -> None:
    """Print one line."""
    ratio = round(ours / other, 4)
    figures = {"name": name, "ours": round(ours, 3), "other": round(other, 3), "ratio": ratio}
    print(json.dumps({**figures, "limit": limit and round(limit, 4)}), flush=True)


def say(text: str) -> None:
    """Tell a person how far it is; stdout is for the figures."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
