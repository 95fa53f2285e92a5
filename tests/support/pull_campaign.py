"""Pulls runs over a line that is cut at random moments, and kills `runferry pull` at some, and looks for rows.

    PYTHONPATH=tests python -m support.pull_campaign --seeds 50 [--first 0] [--faults]

Each trial has the runs of `support.sync_campaign` at a site. Truth is what the training logged, and the stand-in's own
books. A receipt, at the site or here, while the server does not hold just that is wrong. With `--faults` the server,
too, does something wrong until the first pull has ended: a fault of `support.sync_campaign`, chosen by the seed.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.runs.folder import RunFolder
from runferry.runs.receipt import holds
from runferry_standin import running_process
from support.cut_line import bytes_moved, make_line
from support.sync_campaign import fault_trials, rows_held, rows_trained, say, waits, write_all

if TYPE_CHECKING:
    from runferry_standin import StandIn

MOST_BYTES = 1.05
"""Of the segments, that may go over the line."""


@dataclass(frozen=True)
class Trial:
    """What happens to the line and to the pull."""

    seed: int
    cuts: tuple[dict[str, float], ...]
    kill_after: float | None
    """Seconds after which the first pull is killed."""
    rules: tuple[dict[str, Any], ...] = ()
    """What the server does wrong during the first pull."""
    lag: float = 0.0
    """Seconds by which the server is late."""


def trial(seed: int, *, faults: bool = False) -> Trial:
    """Choose at which bytes or moments the line is cut, whether the pull is killed, and what the server does wrong."""
    chosen = random.Random(seed)
    cuts = tuple(
        {"bytes": chosen.randint(0, 30_000)} if chosen.random() < 0.5 else {"seconds": chosen.uniform(0.2, 8)}
        for _ in range(chosen.randint(1, 4))
    )
    one = Trial(seed, cuts, chosen.uniform(1, 10) if chosen.random() < 0.3 else None)
    if not faults:
        return one
    fault = chosen.choice(fault_trials([0.0, 3.0]))
    return replace(one, rules=fault.rules, lag=fault.lag)


def try_one(one: Trial, original: Path, root: Path) -> Counter[str]:
    """Pull copies of the runs until the pull says that all have receipts, and count what is not as it must be."""
    results, mirror, line = root / "site" / "results", root / "laptop" / "runs", root / "line"
    shutil.copytree(original, results, symlinks=True)
    home = root / "home"
    home.mkdir()
    mirror.parent.mkdir()
    here = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "HOME": str(home)}
    found: Counter[str] = Counter()
    with running_process() as server:
        folders = [RunFolder(path) for path in sorted((results / "experiment").iterdir())]
        for folder in folders:
            run = json.loads(folder.run_file.read_text())
            run["wandb"]["base_url"] = server.url
            folder.run_file.write_text(json.dumps(run))
        ssh = make_line(line, here, one.cuts)
        said = ""
        server.behave(lag=one.lag)
        server.faults(*one.rules)
        for kill_after in (one.kill_after, *[None] * (3 if one.rules else 2)):
            said = _pull(server, ssh, results, mirror, kill_after, one.lag)
            server.faults()
            _judge(
                one, [*folders, *(RunFolder(mirror / "experiment" / each.path.name) for each in folders)], server, found
            )
            if all(holds(folder, server.url) for folder in folders):
                break
        for folder in folders:
            found["runs"] += 1
            _count(one, folder, server, found, said)
        key = server.environment["WANDB_API_KEY"].encode()
        found["keys at the site"] += sum(
            key in file.read_bytes() for top in (results, home) for file in top.rglob("*") if file.is_file()
        )
    _weigh(one, line, mirror, found)
    return found


def _pull(server: StandIn, ssh: str, results: Path, mirror: Path, kill_after: float | None, lag: float) -> str:
    words = ["pull", f"--ssh={ssh}", f"--program={sys.executable} -m runferry", f"--to={mirror}"]
    words += [f"--sync-option={each}" for each in (*waits(lag), "--deadline=30")]
    process = subprocess.Popen(
        [sys.executable, "-m", "runferry", *words, f"site:{results}"],
        env=os.environ | server.environment | {"HOME": str(mirror.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    return process.communicate()[0]


def _judge(one: Trial, folders: list[RunFolder], server: StandIn, found: Counter[str]) -> None:
    for folder in folders:
        if holds(folder, server.url) and rows_held(server, folder) != rows_trained(folder):
            found["wrong receipt"] += 1
            say(f"seed {one.seed}: {folder.path}: wrong receipt")


def _count(one: Trial, folder: RunFolder, server: StandIn, found: Counter[str], said: str) -> None:
    rows, wanted = rows_held(server, folder), rows_trained(folder)
    if not holds(folder, server.url):
        found["no receipt"] += 1
        say(f"seed {one.seed}: {folder.path.name}: no receipt: {said}; the fault: {json.dumps(one.rules)}")
    for what, wrong in (("lost", set(wanted) - set(rows)), ("doubled", range(len(rows) - len(set(rows))))):
        if wrong:
            found[what] += 1
            say(f"seed {one.seed}: {folder.path.name}: {len(wrong)} {what}")


def _weigh(one: Trial, line: Path, mirror: Path, found: Counter[str]) -> None:
    segments = sum(
        file.stat().st_size
        for file in mirror.glob("*/*/wandb/**/*")
        if file.is_file() and not file.is_symlink() and not file.name.endswith((".synced", ".syncstate"))
    )
    moved = sum(bytes_moved(line))
    found["kB of segments"] += segments // 1000
    found["kB moved"] += moved // 1000
    if moved > MOST_BYTES * segments:
        found["too many bytes"] += 1
        say(f"seed {one.seed}: {moved} bytes for {segments} of segments")


def run(seeds: range, original: Path, folder: Path, at_once: int = 1, *, faults: bool = False) -> Counter[str]:
    """Try every seed; return the counts."""
    total: Counter[str] = Counter()

    def try_seed(seed: int) -> Counter[str]:
        root = folder / f"trial-{seed}"
        found = try_one(trial(seed, faults=faults), original, root)
        shutil.rmtree(root)
        return found

    with ThreadPoolExecutor(at_once) as pool:
        for found in pool.map(try_seed, seeds):
            total += found
    return total


def main() -> None:
    """Run the campaign, and print a JSON line with what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50, help="default: %(default)d")
    parser.add_argument("--first", type=int, default=0, help="default: %(default)d")
    parser.add_argument("--at-once", type=int, default=2, help="trials at once (default: %(default)d)")
    parser.add_argument("--faults", action="store_true", help="the server does something wrong, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="runferry-campaign-") as folder:
        original = write_all(Path(folder) / "original")
        seeds = range(given.first, given.first + given.seeds)
        say(json.dumps(run(seeds, original, Path(folder), given.at_once, faults=given.faults)))


if __name__ == "__main__":
    main()
