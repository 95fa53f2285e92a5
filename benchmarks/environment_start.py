"""How long a job waits for its environment, and what that asks of the shared filesystem.

Prints JSON lines, times in seconds, each the median of the repetitions:

    {"name": ..., "ours": ..., "other": ..., "ratio": ours / other, "limit": what the ratio may be at most, or null}

The environment holds numpy, pandas, scikit-learn and wandb, and with --torch PyTorch for the CPU too, which pip
downloads once (200 MB). "start" is from the start of `runferry launch` to the first line of the user's command, the
wandb-core that it starts and the attempt's record included; "unpacking" is that part of it alone, in a process that has
Python loaded. The others are what a job's script would do before it starts the same command: the recipe is `virtualenv
--no-download` and `pip install --no-index` of the same wheels; `uv` the same with a warm cache on the same disk
(installed into .venv/uv the first time); `tar -x` extracts the same tree from an uncompressed tar. They take turns,
each time in another order, so that what else the machine does, and what the one before left in its caches, disturbs all
of them alike. Each waits until the processors are idle, 20 s at most: unpacking uses two of them, and where only one is
free it takes twice as long as `tar -x`, which uses one.

Lines that are not times have the same form: calls on the shared filesystem are what strace (Debian: `apt-get install
strace`; left out, and said, without it) sees with a path below the folder of the results, those of the launcher's own
Python left out, as it is on the login node's disk for any job; files are those of one environment.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runferry.environment.archive import unpack
from runferry.environment.building import build
from runferry.environment.specification import Specification

PACKAGES = ["numpy", "pandas", "scikit-learn", "wandb"]
TORCH = "torch==2.13.0"
IMPORTS = "import numpy, pandas, sklearn, wandb"
ROOT = Path(__file__).resolve().parent.parent
UV = ROOT / ".venv" / "uv" / "bin" / "uv"
FIRST_LINE = "import sys, time; open(sys.argv[1], 'w').write(repr(time.time()))"

Way = Callable[[Path], list["str | Path"]]
"""Puts the environment into an empty folder and returns a command's first words: what runs Python in it."""


@dataclass(frozen=True)
class Prepared:
    """One environment, ready to be had in several ways."""

    folder: Path
    """In place of both filesystems: the shared one is `shared` in it, a node's is `node`."""
    record_file: Path
    packages: list[str]
    ways: dict[str, Way]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of each way (default: %(default)s)")
    parser.add_argument("--torch", action="store_true", help="with PyTorch in it; downloads it the first time")
    parser.add_argument(
        "--wheels",
        type=Path,
        default=ROOT / ".venv" / "wheels",
        help="where the wheels are kept (default: .venv/wheels; with --torch .venv/wheels-torch)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None,
        help="in place of a node's local disk; needs 4 GB, with --torch 8 (default: %(default)s)",
    )
    given = parser.parse_args()
    packages = [*PACKAGES, TORCH] if given.torch else PACKAGES
    wheels = given.wheels.resolve()
    extra = ROOT / ".venv" / "wheels-torch"
    sources = [wheels, extra] if given.torch else [wheels]
    download(sources[-1], sources, packages)
    install_uv()
    with tempfile.TemporaryDirectory(prefix="runferry-benchmark-", dir=given.folder) as folder:
        prepared = prepare(Path(folder), sources, packages)
        for line in compare(prepared, given.repeat, ", with PyTorch" if given.torch else ""):
            print(json.dumps(line), flush=True)


def download(target: Path, sources: list[Path], packages: list[str]) -> None:
    """Have the wheels in one of `sources`, without asking an index if they are there."""
    target.mkdir(parents=True, exist_ok=True)
    links = [word for source in sources for word in ("--find-links", str(source))]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(target), *links]
    if subprocess.run([*command, "--no-index", *packages], capture_output=True, check=False).returncode != 0:
        say(f"downloading wheels to {target}")
        # The build without CUDA is a tenth of the size. Where pip is told of no place that has it, PyTorch's own index.
        small = [f"{TORCH}+cpu" if package == TORCH else package for package in packages]
        if subprocess.run([*command, *small], stdout=sys.stderr, check=False).returncode != 0:
            index = ["--retries", "0", "--extra-index-url", "https://download.pytorch.org/whl/cpu"]
            subprocess.run([*command, *index, *packages], stdout=sys.stderr, check=True)


def install_uv() -> None:
    """Have uv in a virtual environment of its own, which nothing else uses."""
    if not UV.exists():
        say(f"installing uv into {UV.parents[1]}")
        subprocess.run([sys.executable, "-m", "venv", UV.parents[1]], check=True)
        pip = [UV.with_name("python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"]
        subprocess.run(pip, check=True, stdout=sys.stderr)


def compare(prepared: Prepared, repeat: int, with_what: str) -> Iterator[dict[str, object]]:
    """Measure all ways, `repeat` times each, and give the lines to print."""
    start: dict[str, list[float]] = {name: [] for name in prepared.ways}
    imports: dict[str, list[float]] = {name: [] for name in prepared.ways}
    for number in range(repeat):
        for name in in_turn(list(prepared.ways), number):
            (seconds,), (imported,) = measure(prepared, name, 1)
            start[name].append(seconds)
            imports[name].append(imported)
            say(f"{number + 1}/{repeat} {name}: start {seconds:.2f} s, first import {imported:.2f} s")
    yield line(f"environment start against virtualenv and pip{with_what}", start, "recipe", 1 / 15)
    # An archive of more than 1 GB is compressed, as reading it takes longer then: no match for what is not, in memory.
    against_tar = None if with_what else 1.3
    yield line(f"environment start against a bare tar -x{with_what}", start, "tar", against_tar)
    yield line(f"unpacking alone against a bare tar -x{with_what}", start, "tar", against_tar, ours="unpacking")
    yield line(f"environment start against uv with a warm cache{with_what}", start, "uv", None)
    # The recipe's environment was made where it is used.
    yield line(f"first import against an environment that was never moved{with_what}", imports, "recipe", 1.05)
    together: dict[str, list[float]] = {name: [] for name in prepared.ways}
    for number in range(repeat):
        for name in in_turn(list(prepared.ways), number):
            together[name].append(max(measure(prepared, name, 4)[0]))
            say(f"{number + 1}/{repeat} {name}: four at once {together[name][-1]:.2f} s")
    yield line(f"four at once against virtualenv and pip{with_what}", together, "recipe", 1 / 20)
    yield line(f"four at once against a bare tar -x{with_what}", together, "tar", None)
    yield line(f"four at once against uv with a warm cache{with_what}", together, "uv", None)
    yield from on_the_shared_filesystem(prepared, with_what)


def in_turn(names: list[str], number: int) -> list[str]:
    """Return the names, beginning with another one each time."""
    return names[number % len(names) :] + names[: number % len(names)]


def prepare(folder: Path, wheels: list[Path], packages: list[str]) -> Prepared:
    """Build the environment, unmeasured, and return the ways to have it elsewhere."""
    say("building and packing the environment")
    requirements = folder / "requirements.txt"
    requirements.write_text("\n".join([*(f'--find-links "{source}"' for source in wheels), *packages]) + "\n")
    record_file = folder / "shared" / "environments" / "default.json"
    with (folder / "build.log").open("w") as log:
        build(Specification(requirements, no_index=True), record_file, log=log)
    tree = unpack(record_file, folder / "tree")
    uncompressed = folder / "environment.tar"
    subprocess.run(["tar", "--create", f"--file={uncompressed}", f"--directory={tree}", "."], check=True)
    shutil.rmtree(tree)
    links = [word for source in wheels for word in ("--find-links", str(source))]

    def recipe(place: Path) -> list[str | Path]:
        command = [sys.executable, "-m", "virtualenv", "--quiet", "--no-download", "-p", base_python(), str(place)]
        subprocess.run(command, check=True)
        pip = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", *links]
        subprocess.run([*pip, *packages], check=True, stdout=sys.stderr)
        return [place / "bin" / "python"]

    def tar(place: Path) -> list[str | Path]:
        subprocess.run(["tar", "--extract", f"--file={uncompressed}", f"--directory={place}"], check=True)
        return [place / "bin" / "python"]

    def uv(place: Path) -> list[str | Path]:
        variables = {**os.environ, "UV_CACHE_DIR": str(folder / "uv-cache")}
        make = [UV, "venv", "--quiet", "--clear", "--offline", "--python", base_python(), place]
        subprocess.run(make, env=variables, check=True)
        install = [UV, "pip", "install", "--quiet", "--offline", "--no-index", *links]
        subprocess.run([*install, "--python", place / "bin" / "python", *packages], env=variables, check=True)
        return [place / "bin" / "python"]

    def unpacking(place: Path) -> list[str | Path]:
        return [unpack(record_file, place) / "bin" / "python"]

    # `ours` is the launcher itself: see `start_one`.
    ways: dict[str, Way] = {"ours": lambda _place: [], "recipe": recipe, "tar": tar, "unpacking": unpacking, "uv": uv}
    uv(folder / "warming")
    shutil.rmtree(folder / "warming")
    return Prepared(folder, record_file, packages, ways)


def measure(prepared: Prepared, name: str, count: int) -> tuple[list[float], list[float]]:
    """Start `count` jobs at once; return the seconds to the first line of each, and of a first import after it."""
    places = [prepared.folder / "node" / f"job{number}" for number in range(count)]
    for place in places:
        place.mkdir(parents=True)
    wait_until_idle()
    begin = time.time()
    # Each a process of its own, as jobs are; the parent only waits.
    children = [os.fork() or start_one(prepared, name, place) for place in places]
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit(f"{name}: a job failed; see above")
    seconds = [float((place / "first-line").read_text()) - begin for place in places]
    imported: list[float] = []
    if count == 1:
        python = next(places[0].glob("**/bin/python"))
        start = time.perf_counter()
        subprocess.run([python, "-c", IMPORTS], check=True)
        imported.append(time.perf_counter() - start)
    shutil.rmtree(prepared.folder / "node")
    return seconds, imported


def start_one(prepared: Prepared, name: str, place: Path) -> int:
    """Be one job, in a child process, and end it."""
    code = 1
    try:
        environment = place / "environment"
        environment.mkdir()
        first_line = ["-c", FIRST_LINE, str(place / "first-line")]
        if name == "ours":
            command = [sys.executable, "-m", "runferry", "launch", str(run_folder(prepared, place.name, first_line))]
        else:
            command = [*prepared.ways[name](environment), *first_line]
        code = subprocess.run(command, env=job_variables(place), stdout=sys.stderr, check=False).returncode
    finally:
        os._exit(code)


def run_folder(prepared: Prepared, name: str, arguments: list[str]) -> Path:
    """Write what the workflow would have written for a run."""
    folder = prepared.folder / "shared" / "digits" / name
    folder.mkdir(parents=True, exist_ok=True)
    run = {
        "id": name,
        "name": name,
        "experiment": "digits",
        "command": ["python", *arguments],
        "parameters": {},
        "workdir": str(prepared.folder),
        "environment": "../../environments/default.json",
        "wandb": {"project": "p", "entity": None, "group": "digits", "tags": [], "mode": "offline", "base_url": None},
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def job_variables(place: Path) -> dict[str, str]:
    """Return the variables of a job whose node-local folder is `place`."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("WANDB", "SLURM"))}
    return {**kept, "SLURM_TMPDIR": str(place)}


def on_the_shared_filesystem(prepared: Prepared, with_what: str) -> Iterator[dict[str, object]]:
    """Count files and calls."""
    shared = prepared.folder / "shared"
    in_place = unpack(prepared.record_file, shared / "unpacked")
    files = sum(1 for file in (shared / "environments").iterdir() if file.is_file())
    own = sum(1 for _ in in_place.rglob("*"))
    yield counts(f"files on the shared filesystem per environment{with_what}", files, own, 3)
    if not shutil.which("strace"):
        say("no strace on PATH (Debian: apt-get install strace): calls are left out")
        return
    node = prepared.folder / "node"
    node.mkdir()
    folder = run_folder(prepared, "traced", ["-c", FIRST_LINE, str(node / "first-line")])
    launch = [sys.executable, "-m", "runferry", "launch", str(folder)]
    ours = calls(launch, shared, job_variables(node), until=str(node / "first-line"))
    environments = [call for call in ours if "/environments" in call]
    running = calls([in_place / "bin" / "python", "-c", IMPORTS], shared, dict(os.environ))
    copying = calls(["cp", "-a", in_place, node / "copy"], shared, dict(os.environ))
    what = "calls on the shared filesystem per job start"
    yield counts(
        f"{what}, for the environment, against running from it{with_what}", len(environments), len(running), 20
    )
    yield counts(f"{what}, for the environment, against cp -a{with_what}", len(environments), len(copying), 20)
    yield counts(f"{what}, with the run's folder, log and record{with_what}", len(ours), len(running), None)
    shutil.rmtree(node)
    shutil.rmtree(in_place.parent)


def calls(
    command: list[str | Path] | list[str], shared: Path, variables: dict[str, str], *, until: str | None = None
) -> list[str]:
    """Run a command and return its system calls, and its children's, that name a path below `shared`.

    With `until` only those before the start of a program that has it among its arguments.
    """
    with tempfile.NamedTemporaryFile("r", errors="replace") as trace:
        strace = ["strace", "-f", "-qq", "-y", "-s", "4096", "-e", "trace=%file", "-o", trace.name]
        subprocess.run([*strace, *command], env=variables, stdout=subprocess.DEVNULL, check=True)
        found: list[str] = []
        for call in trace:
            if "execve(" not in call:
                found += [call] if f"{shared}" in call else []
            # Starts are left out: they name folders as arguments.
            elif until and until in call:
                break
        return found


def counts(name: str, ours: int, other: int, most: int | None) -> dict[str, object]:
    """Return one comparison of numbers; the limit is on ours."""
    limit = most and round(most / other, 6)
    return {"name": name, "ours": ours, "other": other, "ratio": round(ours / other, 6), "limit": limit}


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


def line(
    name: str, seconds: dict[str, list[float]], other: str, limit: float | None, *, ours: str = "ours"
) -> dict[str, object]:
    """Return one comparison, medians in seconds."""
    mine, theirs = statistics.median(seconds[ours]), statistics.median(seconds[other])
    return {
        "name": name,
        "ours": round(mine, 3),
        "other": round(theirs, 3),
        "ratio": round(mine / theirs, 4),
        "limit": limit and round(limit, 4),
    }


def say(text: str) -> None:
    """Tell a person how far it is; stdout is for the figures."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
