"""What live sync costs and how late a record is: runferry beside wandb-osh and `wandb beta sync --live`.

Prints JSON lines:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": the ratio or the figure to stay under}

Every way gets the same runs, which grow at the same pace: a real run of the installed wandb, copied with other ids, of
which a row is added to each log every few seconds, of one run after the other. A row's delay is the time from its
bytes on disk to the server's having it. The server is the stand-in, in a process of its own that is not counted. CPU
is that of each way's whole process tree, per hour of a run.

    python benchmarks/live_sync.py                     # 100 runs, 4 minutes for each of three ways
    python benchmarks/live_sync.py --runs 10 --seconds 60 --interval 5
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from runferry.system.files import write_json
from runferry.trackers.wandb.log.framing import TransactionLog, write_log
from runferry_standin import running_process
from sync import SCRIPT, clean_environment, renamed, report, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runferry_standin import ProcessStandIn

OSH = "wandb-osh==1.2.2"
ROW_SECONDS = 5.0
"""Between two rows of a run."""


class Runs:
    """Runs whose logs grow."""

    def __init__(self, folder: Path, count: int, seconds: float) -> None:
        rows = int(seconds / ROW_SECONDS)
        one = folder / "one"
        one.mkdir()
        own = {"WANDB_MODE": "offline", "WANDB_DIR": str(one), "WANDB_PROJECT": "benchmark", "WANDB_RUN_ID": "one"}
        words = [sys.executable, "-c", SCRIPT, str(rows), "3"]
        subprocess.run(words, env=os.environ | own, cwd=one, check=True, capture_output=True)
        self.segment = next(one.glob("wandb/offline-run-*"))
        self.records = list(TransactionLog(self.segment / "run-one.wandb"))
        self.count, self.rows = count, rows
        self.written: dict[tuple[str, int], float] = {}

    def start(self, results: Path) -> list[Path]:
        """Make the runs, with what comes before the first row."""
        from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportAttributeAccessIssue] - made at run time

        self.written.clear()
        self.folders = [results / "experiment" / f"run{number}" for number in range(self.count)]
        self.logs: list[Path] = []
        self.whole: list[bytes] = []
        self.ends: list[int] = []
        for folder in self.folders:
            place = folder / "wandb" / self.segment.name.replace("-one", f"-{folder.name}")
            shutil.copytree(self.segment, place, ignore=shutil.ignore_patterns("*.wandb"))
            log = place / f"run-{folder.name}.wandb"
            records = renamed(self.records, folder.name)
            write_log(log, records)
            self.whole.append(log.read_bytes())
            if not self.ends:
                # Where each row ends, found by writing the log without what comes after it.
                for number, payload in enumerate(records, 1):
                    if Record.FromString(payload).HasField("history"):
                        write_log(log, records[:number])
                        self.ends.append(log.stat().st_size - len(folder.name))
            self.logs.append(log)
            log.write_bytes(self.whole[-1][: self.ends[0] // 2])
            write_json(
                folder / "run.json",
                {"id": folder.name, "wandb": {"project": "benchmark", "entity": None, "base_url": None}},
            )
            attempt = {"attempt": 1, "host": os.uname().nodename, "job": None, "pid": os.getpid(), "outcome": "running"}
            write_json(folder / "attempts" / "1.json", attempt)
        return self.folders

    def grow(self, trigger: Path | None, trigger_rows: int) -> Iterator[None]:
        """Add a row to the log of one run after the other; every `trigger_rows` rows of a run trigger wandb-osh."""
        for row in range(self.rows - 1):
            for folder, log, whole in zip(self.folders, self.logs, self.whole, strict=True):
                # Ids differ in length by a byte or two: what is cut off comes with the next row.
                part = whole[: self.ends[row] + len(folder.name) + 4]
                with log.open("r+b") as file:
                    file.write(part)
                self.written[folder.name, row] = time.time()
                if trigger and row % trigger_rows == 0:
                    # As wandb-osh's hook for the training script does.
                    (trigger / f"{folder.name}.command").write_text(str(log.parent.resolve()))
                yield


def main() -> None:
    """Measure each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=240.0, help="for each way (default: %(default).0f)")
    parser.add_argument("--interval", type=float, default=30.0, help="of ours (default: %(default).0f)")
    parser.add_argument(
        "--trigger",
        type=float,
        default=30.0,
        help="seconds between two triggers of a run for wandb-osh; its documentation has one at each epoch's end and "
        "names no seconds: the default is our own interval (%(default).0f)",
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="runferry-benchmark-") as name:
        folder = Path(name)
        clean_environment(folder)
        subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", folder / "osh"], check=True)
        # It shall use the same wandb, which this virtual environment does not see by itself.
        site = next((folder / "osh").glob("lib/python*/site-packages"))
        (site / "ours.pth").write_text(f"{next(Path(sys.prefix).glob('lib/python*/site-packages'))}\n")
        pip = [folder / "osh" / "bin" / "python", "-m", "pip", "install", "--quiet", OSH]
        subprocess.run(pip, check=True)
        runs = Runs(folder, given.runs, given.seconds)
        found = {way: measure(folder, runs, way, given) for way in ("runferry", "wandb-osh", "wandb beta sync --live")}
    ours = found.pop("runferry")
    # CPU is counted until the end, with the time that is left to what was written last.
    hours = given.runs * ((runs.rows - 1) * ROW_SECONDS + given.interval + 5) / 3600
    report(f"{given.runs} running runs, worst delay of a row, s, beside interval + 5", ours[1], given.interval + 5, 1.0)
    for way, (median, worst, cpu, missing) in found.items():
        of = f"{given.runs} running runs beside {way}"
        say(f"{way}: {missing} of {given.runs * (runs.rows - 1)} rows had not arrived at the end; of these no delay")
        if median:
            report(f"{of}: median delay of the rows that arrived, s", ours[0], median, None)
            report(f"{of}: worst delay of the rows that arrived, s", ours[1], worst, None)
        limit = 0.2 if way == "wandb-osh" else None
        report(f"{of}: CPU s per run-hour", ours[2] / hours, cpu / hours, limit)
        if missing:
            report(f"{of}: rows missing at the end", ours[3], missing, None)


def command(way: str, folder: Path, runs: list[Path], interval: float, trigger: Path) -> list[str]:
    """Return the command of a way."""
    segments = [str(next(run.glob("wandb/offline-run-*"))) for run in runs]
    python = sys.executable
    match way:
        case "runferry":
            words = ["sync", "--watch", "--running-only", f"--interval={interval}", str(runs[0].parents[1])]
            return [python, "-m", "runferry", *words]
        case "wandb-osh":
            return [str(folder / "osh" / "bin" / "wandb-osh"), "--command-dir", str(trigger)]
        case _:
            return [python, "-m", "wandb", "beta", "sync", "--live", *segments]


def measure(folder: Path, runs: Runs, way: str, given: argparse.Namespace) -> tuple[float, float, float, int]:
    """Let the runs grow under a way; gives median and worst delay (s), CPU seconds, and rows missing at the end."""
    say(f"{way}: {given.runs} runs for {given.seconds:.0f} s")
    place = folder / way.replace(" ", "-")
    trigger = place / "trigger"
    trigger.mkdir(parents=True)
    with running_process() as server:
        os.environ |= server.environment
        folders = runs.start(place / "results")
        with (place / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                command(way, folder, folders, given.interval, trigger),
                env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        arrived: dict[tuple[str, int], float] = {}
        over = threading.Event()
        looker = threading.Thread(target=look, args=(server, folders, arrived, over))
        looker.start()
        try:
            begun = time.monotonic()
            trigger_rows = max(round(given.trigger / ROW_SECONDS), 1)
            for number, _ in enumerate(runs.grow(trigger if way == "wandb-osh" else None, trigger_rows), 1):
                # Spread over the time between two rows of a run: no way shall profit from looking at the right moment.
                time.sleep(max(begun + number * ROW_SECONDS / runs.count - time.monotonic(), 0))
            # What was written last gets as long as the longest interval allows.
            time.sleep(given.interval + 5)
        finally:
            over.set()
            looker.join()
            cpu = end(process)
    delays = sorted(arrived[key] - written for key, written in runs.written.items() if key in arrived)
    missing = len(runs.written) - len(delays)
    if not delays:
        say((place / "output.txt").read_text()[-1000:])
        return 0.0, 0.0, cpu, missing
    say(
        f"{way}: median {statistics.median(delays):.1f} s, worst {delays[-1]:.1f} s, {cpu:.1f} CPU s, {missing} missing"
    )
    return statistics.median(delays), delays[-1], cpu, missing


def look(server: ProcessStandIn, folders: list[Path], arrived: dict[tuple[str, int], float], over: threading.Event):
    """Note when the server has each row, to about a second."""
    counts = dict.fromkeys((folder.name for folder in folders), 0)
    query = """query($filters: JSONString!) { project(name: "benchmark", entityName: "demo") {
        runs(filters: $filters, first: 1000) { edges { node { name historyLineCount } } } } }"""
    while not over.wait(1.0):
        answer = server.graphql(query, {"filters": "{}"})["data"]["project"]
        now = time.time()
        for edge in answer["runs"]["edges"] if answer else []:
            name, count = edge["node"]["name"], edge["node"]["historyLineCount"]
            for row in range(counts.get(name, 0), count):
                arrived[name, row] = now
            counts[name] = max(count, counts.get(name, 0))


def end(process: subprocess.Popen[bytes]) -> float:
    """End a way with all that it started; gives the CPU seconds that it used."""
    cpu = 0.0
    members = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in members:
        with contextlib.suppress(psutil.Error):
            times = member.cpu_times()
            cpu += times.user + times.system + times.children_user + times.children_system
    for member in members:
        with contextlib.suppress(psutil.Error):
            member.send_signal(signal.SIGKILL)
    process.wait()
    return cpu


if __name__ == "__main__":
    main()
