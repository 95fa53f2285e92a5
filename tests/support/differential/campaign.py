"""Kills jobs with one and several W&B runs at a random moment, continues them, syncs them, and looks for every row.

    PYTHONPATH=tests python -m support.differential.campaign --seeds 100 [--first 0] [--python PATH] [--at-once 4]

For each W&B run of a job, every row whose `log` had returned must be on the server once, in order, those of the later
attempts after those of the earlier ones; the truth is what the training wrote to a file of its own. Where all processes
were killed at once, rows at the end of the killed attempt may be missing, as far as that is said in `runferry.launch`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from runferry_standin import running_process
from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry_standin import StandIn

TRAIN = ROOT / "tests" / "launch" / "differential" / "killed_jobs" / "train.py"
SHAPES = ("one", "steps", "folds", "named_folds", "own_ids", "open_at_once", "threads", "ranks", "seeds")
KILLS = ("training", "launcher", "everything", "stop launcher", "stop everything")
"""SIGKILL to the command's own process, to the launcher, to all processes; SIGTERM to the launcher, to all of them."""
ROWS = 30
"""Of each member in each attempt."""
WITH_STEPS = ("steps", "named_folds")
"""Which log with `step=`, where the last row whose `log` did not come back is logged again, and wandb refuses it."""
MEMBERS = {"one": 1, "steps": 2, "ranks": 2}
ATTEMPTS = 4
SECONDS = 120
FLUSH_SECONDS = 2.5
"""After which a row is on the disk when all is killed at once, with wandb 0.31 and later."""


@dataclass
class Job:
    """A job of one seed: how it is killed, and what became of it."""

    seed: int
    root: Path
    python: Path
    periodic_flush: bool
    exit_codes: list[int] = field(default_factory=list)
    killed_at: float = 0.0

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self.shape = SHAPES[self.seed % len(SHAPES)]
        self.kill = chance.choice(KILLS)
        rows = ROWS * MEMBERS.get(self.shape, 3)
        # Of the rows, or of the time before the first.
        self.after_rows = chance.randint(0, rows - 1) if chance.random() < 0.9 else 0
        self.delay = chance.uniform(0.0, 0.1) if self.after_rows else chance.uniform(0.3, 3.0)

    @property
    def name(self) -> str:
        return f"{self.shape}-{self.seed}"

    @property
    def folder(self) -> Path:
        return self.root / "work" / self.name

    @property
    def run_folder(self) -> Path:
        return self.root / "results" / self.name / "run"

    def __str__(self) -> str:
        when = f"after {self.after_rows} rows" if self.after_rows else f"{self.delay:.2f} s after the start"
        return f"seed {self.seed}: {self.shape}, {self.kill} {when}, exit codes {self.exit_codes}"

    def run(self) -> None:
        """Start it, kill it, and start it again until it ends well."""
        self.folder.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "SLURM"))}
        environment = kept | {"WANDB_ERROR_REPORTING": "false", "WANDB_BASE_URL": "http://127.0.0.1:9"}
        words = [self.python, TRAIN, self.shape, self.folder, ROWS]
        launch = [sys.executable, "-m", "runferry", "launch", self.run_folder, "--entity", self.name]
        for attempt in range(1, ATTEMPTS + 1):
            with (self.folder / f"launch-{attempt}.log").open("w") as output:
                process = subprocess.Popen(
                    [*map(str, launch), "--", *map(str, words)],
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                if attempt == 1:
                    self._kill(process)
                try:
                    self.exit_codes.append(process.wait(SECONDS))
                except subprocess.TimeoutExpired:
                    process.kill()
                    self.exit_codes.append(-99)
            self._wait_for_the_keeper()
            if self.exit_codes[-1] == 0:
                return

    def rows(self) -> list[dict[str, Any]]:
        """Return what the training says that it has logged."""
        file = self.folder / "truth.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        if self.after_rows:
            end = time.monotonic() + SECONDS
            while len(self.rows()) < self.after_rows and process.poll() is None and time.monotonic() < end:
                time.sleep(0.01)
        time.sleep(self.delay)
        try:
            launcher = psutil.Process(process.pid)
            # Depth first is how psutil lists them; the keeper is a child of the launcher's, wandb-core is the keeper's.
            below = launcher.children(recursive=True)
            # The keeper is a fork of the launcher's, with the same words, the command's among them.
            words = launcher.cmdline()
            commands = [
                each
                for each in below
                if str(TRAIN) in each.cmdline() and each.cmdline() != words and each.ppid() == process.pid
            ]
        except psutil.NoSuchProcess:
            return
        number = signal.SIGTERM if self.kill.startswith("stop") else signal.SIGKILL
        targets = {"training": commands, "everything": [launcher, *below], "stop everything": [launcher, *below]}
        self.killed_at = time.time()
        for target in targets.get(self.kill, [launcher]):
            try:
                target.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def _wait_for_the_keeper(self) -> None:
        """Wait until what outlives a killed launcher has ended: a scheduler has ended it before the next attempt."""
        marks = (f"RUNFERRY_RUN_FOLDER={self.run_folder}".encode(), str(self.run_folder).encode())
        end = time.monotonic() + 60
        while time.monotonic() < end and any(_mentions(each, marks) for each in Path("/proc").glob("[0-9]*")):
            time.sleep(0.1)


def _mentions(process: Path, marks: Sequence[bytes]) -> bool:
    try:
        environment = (process / "environ").read_bytes()
        arguments = (process / "cmdline").read_bytes()
    except OSError:
        return False
    return marks[0] in environment.split(b"\0") or marks[1] in arguments.split(b"\0")


def check(job: Job, server: StandIn) -> list[str]:
    """Say what is wrong with what arrived of a job."""
    wrong: list[str] = []
    if not job.exit_codes or job.exit_codes[-1] != 0:
        wrong.append("did not end well")
    if not (job.run_folder / "receipt.json").exists():
        wrong.append("has no receipt")
    held = _held(server, job.name)
    owners: Counter[str] = Counter()
    for run, values in held.items():
        members = {value.partition("/")[0] for value in values}
        if len(members) > 1:
            wrong.append(f"run {run} has rows of members {sorted(members)}")
        owners.update(members)
    truth: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in job.rows():
        truth[line["member"]].append(line)
    for member, lines in truth.items():
        if owners[member] > 1:
            wrong.append(f"member {member} is {owners[member]} runs")
        there = [value for values in held.values() for value in values if value.partition("/")[0] == member]
        wrong += [f"member {member}: {what}" for what in _check_member(job, lines, there)]
    return wrong


def _check_member(job: Job, lines: Sequence[dict[str, Any]], there: Sequence[str]) -> list[str]:
    rows = [_row(job, value) for value in there]
    may_miss = _may_miss(job, lines)
    # With steps of its own a row may be logged again that was logged just before the kill; wandb refuses it.
    logged = list(dict.fromkeys(_row(job, line["row"]["value"]) for line in lines))
    needed = [row for row in logged if row in rows or row not in may_miss]
    if missing := [row for row in needed if row not in rows]:
        return [f"{len(missing)} rows missing, the first is {missing[0]}"]
    # A row may be there whose `log` had not come back when its process was killed.
    more = [row for row in rows if row not in needed]
    if [row for row in rows if row in needed] != needed or len(more) > 1:
        return [f"{len(rows)} rows, {len(needed)} logged: twice, or out of order"]
    return []


def _row(job: Job, value: str) -> str:
    """Return what makes a row the same one: with steps of its own, that a later attempt may log the last one again."""
    member, _, number = value.split("/")
    return f"{member}/{number}" if job.shape in WITH_STEPS else value


def _may_miss(job: Job, lines: Sequence[dict[str, Any]]) -> set[str]:
    if job.kill != "everything" or len(job.exit_codes) < 2:
        return set()
    return {
        _row(job, line["row"]["value"])
        for line in lines
        if line["attempt"] == 1 and (not job.periodic_flush or line["time"] > job.killed_at - FLUSH_SECONDS)
    }


def _held(server: StandIn, entity: str) -> dict[str, list[str]]:
    held: dict[str, list[str]] = {}
    for run in server.runs(entity, "uncategorized"):
        rows = server.run(entity, "uncategorized", run)["history"]
        held[run] = [row["value"] for row in rows if "value" in row]
    return held


def campaign(seeds: Sequence[int], python: Path, root: Path, at_once: int = 4) -> dict[str, list[str]]:
    """Run, kill, continue and sync the jobs of some seeds; return what is wrong with each, by its description.

    Parameters
    ----------
    seeds
        Their numbers; each says shape, moment and way of the kill.
    python
        Of the training environment.
    root
        An empty folder for all that is written.
    at_once
        Jobs that run at the same time.
    """
    version = subprocess.run(
        [python, "-c", "import importlib.metadata; print(importlib.metadata.version('wandb'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    flushes = [int(part) for part in version.split(".")[:2]] >= [0, 31]
    jobs = [Job(seed, root, python, flushes) for seed in seeds]
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(Job.run, jobs))
    with running_process() as server:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
        command = [sys.executable, "-m", "runferry", "sync", str(root / "results"), "--patience", "3"]
        done = subprocess.run(
            [*command, "--log", str(root / "sync.log")],
            cwd=root,
            env=kept | server.environment | {"WANDB_ERROR_REPORTING": "false"},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        (root / "sync.txt").write_text(done.stdout)
        return {str(job): check(job, server) for job in jobs}


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=9, help="how many (default: %(default)d)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="of the training environment")
    parser.add_argument("--at-once", type=int, default=4, help="jobs at the same time")
    parser.add_argument("--folder", type=Path, help="is kept, for a look at what went wrong")
    given = parser.parse_args()
    root = given.folder or Path(tempfile.mkdtemp(prefix="killed-jobs-"))
    root.mkdir(parents=True, exist_ok=True)
    found = campaign(range(given.first, given.first + given.seeds), given.python, root.resolve(), given.at_once)
    for job, wrong in found.items():
        print(f"{'wrong' if wrong else 'right'}  {job}{''.join(f'{chr(10)}         {each}' for each in wrong)}")
    bad = sum(map(bool, found.values()))
    print(f"{len(found) - bad} of {len(found)} jobs arrived whole; all is in {root}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
