"""Syncs runs of every version while the server does something wrong, or `runferry sync` is killed, and looks for rows.

    PYTHONPATH=tests python -m support.sync_campaign faults --lag 0 3 [--only 20] [--first 0]
    PYTHONPATH=tests python -m support.sync_campaign kills --seeds 100 --lag 3
    PYTHONPATH=tests python -m support.sync_campaign faults --where job --only 50 --at-once 2

With `--where job` each sync is a Slurm job of the test cluster (`make cluster-up`), whose login node has no way to the
server; what is killed is the job, or the `runferry sync` that submitted it.

Each trial has three runs of each version: one of one segment, one that was requeued twice, one whose jobs were killed.
They are synced with the fault, then without it until all have a receipt (three times at most). A receipt while the
server does not hold just what was trained is wrong; what is missing or there twice at the end is lost or doubled. Truth
is what the training logged, and the stand-in's own books.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.runs.folder import RunFolder
from runferry_standin import running_process
from support.paths import ROOT
from support.written_runs import write_run

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from runferry_standin import StandIn

VERSIONS = ("0.22.3", "0.27.2", "0.31.0")
SHAPES = {"one": ((0, 20),), "requeued": ((0, 10), (10, 15), (15, 25)), "again": ((0, 12), (12, 30))}
"""Rows of the segments, from the first to the last."""
ROWS = {name: parts[-1][1] for name, parts in SHAPES.items()}

PLACES: tuple[dict[str, Any], ...] = (
    {"match": "file_stream"},
    {"match": "file_stream", "containing": "wandb-history.jsonl"},
    {"match": "file_stream", "containing": '"complete":true'},
    {"match": "file_stream", "containing": "wandb-summary.json"},
    {"match": "graphql:UpsertBucket"},
    {"match": "graphql:RunResumeStatus"},
    {"match": "graphql:RunferryRuns"},
    {"match": "graphql:RunferryRows"},
    {"match": "graphql:CreateRunFiles"},
    {"match": "storage"},
)
WRONGS: tuple[dict[str, Any], ...] = (
    *({"status": status} for status in (400, 403, 404, 409, 413, 429, 500, 503)),
    {"html": True},
    {"drop": "before"},
    {"drop": "answering"},
    {"lose": True},
    {"status": 302},
)
TIMES: tuple[dict[str, Any], ...] = ({"count": 1}, {"count": 2, "after": 3}, {})
ROW_WRONGS: tuple[dict[str, Any], ...] = tuple(
    {"match": "file_stream", "containing": "wandb-history.jsonl", name: share, **times}
    for name, share, times in product(
        ("lose_rows", "alter_rows", "double_rows"), (0.1, 1), ({"count": 2}, {"after": 4})
    )
)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Trial:
    """One way in which something goes wrong."""

    name: str
    lag: float
    rules: tuple[dict[str, Any], ...] = ()
    kills: tuple[float, ...] = ()
    """Seconds after which each of the first syncs is killed."""


class Here:
    """Syncs on this machine, as on a login node with a way to the server."""

    words: Sequence[str] = ()
    """Further options of `runferry sync`."""

    @contextmanager
    def server(self) -> Generator[tuple[StandIn, dict[str, str]]]:
        """Start a server; yield it, and the variables by which a sync finds it."""
        with running_process() as server:
            yield server, server.environment

    def kill(self, sync: subprocess.Popen[str], _folder: Path, _chosen: random.Random) -> None:
        """Kill a sync that was started in `folder`."""
        sync.send_signal(signal.SIGKILL)

    def end(self, folder: Path) -> None:
        """End what syncs that were started in `folder` have left running."""


def fault_trials(lags: Sequence[float]) -> list[Trial]:
    """Every fault with every lag."""
    rules = [{**place, **wrong, **times} for place, wrong, times in product(PLACES, WRONGS, TIMES)]
    return [Trial(json.dumps(rule), lag, (rule,)) for rule in (*rules, *ROW_WRONGS) for lag in lags]


def kill_trials(seeds: int, lags: Sequence[float]) -> list[Trial]:
    """Some syncs in a row that are killed at random moments."""
    trials: list[Trial] = []
    for seed, lag in product(range(seeds), lags):
        chosen = random.Random(seed)
        kills = tuple(chosen.uniform(0.5, 6 + 2 * lag) for _ in range(chosen.randint(1, 4)))
        trials.append(Trial(f"seed {seed}", lag, kills=kills))
    return trials


def write_all(folder: Path, versions: Sequence[str] = VERSIONS) -> Path:
    """Train the runs once; copies of them are cheap."""
    results = folder / "results"
    for version, (shape, parts) in product(versions, SHAPES.items()):
        run = RunFolder(results / "experiment" / f"{shape}-{version.replace('.', '-')}")
        python = ROOT / ".venv" / f"wandb-{version}" / "bin" / "python"
        for first, last in parts:
            write_run(python if python.exists() else Path(sys.executable), run, last, first=first, rich=False)
    return results


def try_one(trial: Trial, original: Path, root: Path, number: int, where: Here) -> Counter[str]:
    """Sync copies of the runs while it goes wrong, then without, and count what is not as it must be."""
    results = root / str(number) / "results"
    shutil.copytree(original, results, symlinks=True)
    folders = [RunFolder(path) for path in sorted((results / "experiment").iterdir())]
    found: Counter[str] = Counter()
    with where.server() as (server, variables):
        syncs = _Syncs(results, where, variables, trial)
        server.behave(lag=trial.lag)
        server.faults(*trial.rules)
        for seconds in trial.kills:
            syncs.run(kill_after=seconds)
            _judge(trial, folders, server, found)
        if not trial.kills:
            syncs.run()
            _judge(trial, folders, server, found)
        server.faults()
        for _ in range(3):
            if all(folder.receipt_file.exists() for folder in folders):
                break
            said = syncs.run()
            _judge(trial, folders, server, found)
        where.end(results.parent)
        for folder in folders:
            if not folder.receipt_file.exists():
                found["no receipt"] += 1
                lines = [line for line in said.splitlines() if folder.path.name in line]
                say(f"{trial.name} lag {trial.lag}: {lines[:1]}")
            _count_rows(trial, folder, server, found)
    shutil.rmtree(root / str(number))
    return found


def waits(lag: float) -> list[str]:
    """Return the options by which a sync waits as long as a server that is late by `lag` seconds needs."""
    return [f"--settle={lag + 1 if lag else 0.2}", f"--patience={4 + 3 * lag}"]


class _Syncs:
    """The syncs of a trial, one after the other."""

    def __init__(self, results: Path, where: Here, variables: dict[str, str], trial: Trial) -> None:
        self._results, self._where, self._variables, self._trial = results, where, variables, trial
        self._chosen = random.Random(trial.name)

    def run(self, *, kill_after: float | None = None) -> str:
        """Sync, and return what it said; it is killed after so many seconds."""
        words = ["--deadline=15", *waits(self._trial.lag), *self._where.words]
        process = subprocess.Popen(
            [sys.executable, "-m", "runferry", "sync", *words, str(self._results)],
            cwd=self._results.parent,
            env=os.environ | self._variables | {"HOME": str(self._results.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if kill_after is not None:
            time.sleep(kill_after)
            self._where.kill(process, self._results.parent, self._chosen)
        return process.communicate()[0]


def rows_held(server: StandIn, folder: RunFolder) -> list[tuple[int, float]]:
    """Return step and loss of each row that the server holds, by its own books."""
    try:
        held = server.run("demo", "tests", folder.path.name)["history"]
    except LookupError:
        return []
    return [(row["_step"], row["loss"]) for row in held]


def rows_trained(folder: RunFolder) -> list[tuple[int, float]]:
    """Return step and loss of each row that the training logged."""
    return [(step, 1 / (step + 1)) for step in range(ROWS[folder.path.name.partition("-")[0]])]


def _judge(trial: Trial, folders: Sequence[RunFolder], server: StandIn, found: Counter[str]) -> None:
    for folder in folders:
        if folder.receipt_file.exists() and rows_held(server, folder) != rows_trained(folder):
            found["wrong receipt"] += 1
            say(f"{trial.name} lag {trial.lag}: {folder.path.name}: wrong receipt")


def _count_rows(trial: Trial, folder: RunFolder, server: StandIn, found: Counter[str]) -> None:
    rows, wanted = rows_held(server, folder), rows_trained(folder)
    found["trials of runs"] += 1
    for what, wrong in (("lost", set(wanted) - set(rows)), ("doubled", range(len(rows) - len(set(rows))))):
        if wrong:
            found[what] += 1
            say(f"{trial.name} lag {trial.lag}: {folder.path.name}: {len(wrong)} {what}")


def main() -> None:
    """Run the campaign that was asked for, and print a JSON line with what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["faults", "kills"])
    parser.add_argument("--lag", type=float, nargs="+", default=[0.0, 3.0], help="seconds by which the server is late")
    parser.add_argument("--seeds", type=int, default=100, help="of kills (default: %(default)d)")
    parser.add_argument("--only", type=int, help="so many trials, chosen by --first")
    parser.add_argument("--first", type=int, default=0, help="seed of that choice (default: %(default)d)")
    parser.add_argument("--at-once", type=int, default=4, help="trials at once (default: %(default)d)")
    parser.add_argument("--where", choices=["login", "job"], default="login", help="where the syncs run")
    parser.add_argument("--cluster", type=Path, metavar="FOLDER", help="of the test cluster, where it is another one")
    given = parser.parse_args()
    trials = fault_trials(given.lag) if given.kind == "faults" else kill_trials(given.seeds, given.lag)
    if given.only:
        trials = random.Random(given.first).sample(trials, min(given.only, len(trials)))
    total: Counter[str] = Counter({"trials": len(trials)})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runferry-campaign-")))
        where = Here()
        if given.where == "job":
            from support.slurm.sync_jobs import FOLDER, jobs_of_cluster

            where = stack.enter_context(jobs_of_cluster(given.at_once, given.cluster or FOLDER))
        original = write_all(folder)
        pool = stack.enter_context(ThreadPoolExecutor(given.at_once))
        for found in pool.map(lambda each: try_one(each[1], original, folder, each[0], where), enumerate(trials)):
            total += found
    say(json.dumps(total))


if __name__ == "__main__":
    main()
