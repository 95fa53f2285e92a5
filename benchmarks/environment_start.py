"""How long a job waits for its environment: runferry's archive, the usual recipe, and a bare `tar -x`.

Prints JSON lines, times in seconds, each the median of the repetitions:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": what the ratio may be at most, or null}

The environment holds numpy, pandas, scikit-learn and wandb. "start" is to have it in a folder and to have run
`python -c pass` in it; "start with imports" is to have imported all four in it, which costs the same each way. The
recipe is `virtualenv --no-download` and `pip install --no-index` of the same wheels; `tar -x` extracts the same tree
from an uncompressed tar. The three take turns, each time in another order, so that what else the machine does, and
what the one before left in its caches, disturbs all of them alike. Each waits until the processors are idle, 20 s at
most: unpacking uses two of them, and where only one is free it takes twice as long as `tar -x`, which uses one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from runferry.environment import Specification, build, unpack

PACKAGES = ["numpy", "pandas", "scikit-learn", "wandb"]
IMPORTS = "import numpy, pandas, sklearn, wandb"
ROOT = Path(__file__).resolve().parent.parent

Way = Callable[[Path], Path]
"""Puts the environment into an empty folder and returns its `bin/python`."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of each way (default: %(default)s)")
    parser.add_argument(
        "--wheels",
        type=Path,
        default=ROOT / ".venv" / "wheels",
        help="where the wheels are kept (default: .venv/wheels)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None,
        help="in place of a node's local disk; needs 3 GB (default: %(default)s)",
    )
    given = parser.parse_args()
    download(given.wheels.resolve())
    with tempfile.TemporaryDirectory(prefix="runferry-benchmark-", dir=given.folder) as folder:
        for line in compare(Path(folder), given.wheels.resolve(), given.repeat):
            print(json.dumps(line), flush=True)


def download(wheels: Path) -> None:
    """Have the wheels in `wheels`, without asking an index if they are there."""
    wheels.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), "--find-links", str(wheels)]
    if subprocess.run([*command, "--no-index", *PACKAGES], capture_output=True, check=False).returncode != 0:
        say(f"downloading wheels to {wheels}")
        subprocess.run([*command, *PACKAGES], stdout=sys.stderr, check=True)


def compare(folder: Path, wheels: Path, repeat: int) -> list[dict[str, object]]:
    """Measure the three ways in `folder`, `repeat` times each, and return the lines to print."""
    ways = prepare(folder, wheels)
    start: dict[str, list[float]] = {name: [] for name in ways}
    imports: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeat):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            place = folder / "node"
            place.mkdir()
            wait_until_idle()
            ready, first, imported = measure(ways[name], place)
            shutil.rmtree(place)
            start[name].append(ready + first)
            imports[name].append(ready + imported)
            say(f"{number + 1}/{repeat} {name}: ready {ready:.2f} s, start {first:.2f} s, imports {imported:.2f} s")
    return [
        line("environment start against virtualenv and pip", start, "recipe", 1 / 15),
        line("environment start against a bare tar -x", start, "tar", 1.3),
        line("environment start with imports against virtualenv and pip", imports, "recipe", None),
        line("environment start with imports against a bare tar -x", imports, "tar", None),
    ]


def prepare(folder: Path, wheels: Path) -> dict[str, Way]:
    """Build the environment, unmeasured, and return the ways to have it elsewhere."""
    say("building and packing the environment")
    requirements = folder / "requirements.txt"
    requirements.write_text("\n".join([f'--find-links "{wheels}"', *PACKAGES]) + "\n")
    record_file = folder / "environments" / "default.json"
    log_file = folder / "build.log"
    with log_file.open("w") as log:
        build(Specification(requirements, no_index=True), record_file, log=log)
    tree = unpack(record_file, folder / "tree")
    uncompressed = folder / "environment.tar"
    subprocess.run(["tar", "--create", f"--file={uncompressed}", f"--directory={tree}", "."], check=True)
    shutil.rmtree(tree)

    def ours(place: Path) -> Path:
        return unpack(record_file, place) / "bin" / "python"

    def recipe(place: Path) -> Path:
        command = [sys.executable, "-m", "virtualenv", "--quiet", "--no-download", "-p", base_python(), str(place)]
        subprocess.run(command, check=True)
        pip = [place / "bin" / "pip", "install", "--quiet", "--no-index", "--find-links", wheels]
        subprocess.run([*pip, *PACKAGES], check=True, stdout=sys.stderr)
        return place / "bin" / "python"

    def tar(place: Path) -> Path:
        subprocess.run(["tar", "--extract", f"--file={uncompressed}", f"--directory={place}"], check=True)
        return place / "bin" / "python"

    return {"ours": ours, "recipe": recipe, "tar": tar}


def measure(way: Way, place: Path) -> tuple[float, float, float]:
    """Return the seconds until the environment is there, of the first start in it, and of the first imports."""
    begin = time.perf_counter()
    python = way(place)
    ready = time.perf_counter()
    subprocess.run([python, "-c", "pass"], check=True)
    started = time.perf_counter()
    subprocess.run([python, "-c", IMPORTS], check=True)
    return ready - begin, started - ready, time.perf_counter() - started


def wait_until_idle() -> None:
    """Return when all processors together were idle for nine tenths of a quarter of a second, or after 20 s."""
    end = time.monotonic() + 20
    before = processor_times()
    while time.monotonic() < end:
        time.sleep(0.25)
        now = processor_times()
        if now[0] - before[0] >= 0.9 * (now[1] - before[1]):
            return
        before = now
    say("the machine is busy with something else; the next figure is disturbed")


def processor_times() -> tuple[int, int]:
    """Return how long the processors were idle, and how long in all, in ticks since the machine's start."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return ticks[3] + ticks[4], sum(ticks)


def base_python() -> str:
    """Return the Python below the virtual environment that runs this."""
    return getattr(sys, "_base_executable", sys.executable)


def line(name: str, seconds: dict[str, list[float]], other: str, limit: float | None) -> dict[str, object]:
    """Return one comparison, medians in seconds."""
    ours, theirs = statistics.median(seconds["ours"]), statistics.median(seconds[other])
    return {
        "name": name,
        "ours": round(ours, 3),
        "other": round(theirs, 3),
        "ratio": round(ours / theirs, 4),
        "limit": limit and round(limit, 4),
    }


def say(text: str) -> None:
    """Tell a person how far it is; stdout is for the figures."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
