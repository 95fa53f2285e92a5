"""What unpacking an environment costs a node when several jobs start at once: our archive, and `tar -x` of one file.

Prints JSON lines, CPU seconds of all jobs together, each the least of the repetitions:

    {"jobs": ..., "archive": ".tar" or ".tar.zst", "ours": ..., "tar": ..., "checked tar": ...}

"tar" is `tar -x`, or `tar --zstd -x`, of the same tree in one ordinary archive. "checked tar" is `tar -x` that is fed
the same bytes through a pipe by a Python that has their XXH3 at the end: what it takes to know as well as ours that
everything arrived. A launcher has Python loaded already, so that what starting it takes is subtracted from both.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from runferry.environment.packing import pack

OURS = "import sys; from pathlib import Path; from runferry.environment.archive import _extract"
FED = "import subprocess, sys, xxhash, zstandard"
EXTRACT = "; _extract(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])"
FEED = """
file, digest = open(sys.argv[1], "rb", buffering=0), xxhash.xxh3_128()
class Hashed:
    def read(self, size=-1):
        data = file.read(size)
        digest.update(data)
        return data
source = Hashed()
if sys.argv[1].endswith(".zst"):
    source = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
tar = subprocess.Popen(["tar", "-xf", "-", "-C", sys.argv[2]], stdin=subprocess.PIPE, bufsize=0)
while data := source.read(1 << 20):
    tar.stdin.write(data)
tar.stdin.close()
sys.exit(tar.wait())
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, help="a folder to pack, such as the lib/ of an environment")
    parser.add_argument("--repeat", type=int, default=4, help="repetitions of each way (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=4, help="at once (default: %(default)s, and 1)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        for compress in (False, True):
            suffix = ".tar.zst" if compress else ".tar"
            ours = pack(given.tree, folder, "ours", compress=compress)
            other = folder / f"other{suffix}"
            with_zstd = ["--use-compress-program=zstd -3"] if compress else []
            subprocess.run(["tar", *with_zstd, "-cf", other, "-C", given.tree, "."], check=True)
            python = [sys.executable, "-c"]
            ways = {
                "ours": [*python, OURS + EXTRACT, folder / ours.archive, "TO", ours.sha256],
                "ours, started": [*python, OURS],
                "tar": ["tar", "-xf", other, "-C", "TO"],
                "checked tar": [*python, FED + FEED, other, "TO"],
                "checked tar, started": [*python, FED],
            }
            for jobs in sorted({1, given.jobs}):
                least = {
                    way: min(_cpu(words, jobs, folder) for _ in range(given.repeat)) for way, words in ways.items()
                }
                found = {
                    way: round(least[way] - least.get(f"{way}, started", 0), 2)
                    for way in ("ours", "tar", "checked tar")
                }
                print(json.dumps({"jobs": jobs, "archive": suffix, **found}), flush=True)


def _cpu(words: list[str | Path], jobs: int, folder: Path) -> float:
    """Run so many of a command at once, each into a folder of its own; return the CPU seconds of all."""
    targets = [Path(tempfile.mkdtemp(dir=folder)) for _ in range(jobs)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = [subprocess.Popen([target if word == "TO" else word for word in words]) for target in targets]
    if any(process.wait() for process in running):
        sys.exit(f"failed: {words}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for target in targets:
        shutil.rmtree(target)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
