"""Look at a compute node, in the job that `runferry doctor --probe` submits.

`python -m runferry.doctor.node FOLDER` reads FOLDER/asked.json, writes FOLDER/seen.json as soon as it has looked, and
stays to see which signals come before the job's end and how long after them it is killed.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config.cluster import facts, find_cluster
from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.checking import Check, run_checks
from runferry.doctor.finding import Finding
from runferry.doctor.locks import other_takes
from runferry.doctor.reach import STORAGE, reach
from runferry.doctor.software import load_module, not_loaded
from runferry.doctor.storage import in_gigabytes, room
from runferry.runs.slurm import job_end
from runferry.system.disk_space import filesystem_of, free_memory
from runferry.system.files import read_json, write_json
from runferry.system.signals import shield

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runferry.config.cluster import Cluster

ASKED, SEEN, LOCK = "asked.json", "seen.json", "lock"
ABOUT, NETWORK = "compute node", "compute node's network"
SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
"""What the job is sent before its end: the first as `sbatch --signal` asks for it, the second at the time limit."""


def main(folder: Path) -> int:
    """Run the checks of a compute node, write their findings, and wait for signals."""
    asked: dict[str, Any] = read_json(folder / ASKED)
    seen: dict[str, Any] = {"host": socket.gethostname(), "begun": time.time(), "end": None, "signals": {}}
    came: dict[str, float] = {}
    for number in SIGNALS:
        signal.signal(number, lambda number, _frame: came.setdefault(signal.Signals(number).name, time.time()))
    seen["end"] = job_end()
    seen["findings"] = [asdict(finding) for finding in run_checks(_checks(asked, folder, seen["end"]))]
    while True:
        ended = _is_enough(asked.get("seconds"), seen["begun"], came)
        # Once it is to end, the last time that is written is the last second of its life.
        if ended or seen["signals"] != came or "SIGTERM" in came or "last" not in seen:
            seen |= {"signals": dict(came), "last": time.time(), "ended": ended}
            write_json(folder / SEEN, seen)
        if ended:
            return 0
        time.sleep(1.0)


def _is_enough(seconds: float | None, begun: float, came: Mapping[str, float]) -> bool:
    """Return whether to end before the job does: only where no more than the first signal is waited for."""
    if seconds is None:
        return False
    return signal.SIGUSR1.name in came or time.time() - begun > seconds


def _checks(asked: Mapping[str, Any], folder: Path, end: float | None) -> list[Check]:
    cluster = find_cluster(asked["cluster"])
    return [
        Check(ABOUT, 20.0, partial(_machine, cluster, end)),
        Check(ABOUT, 20.0, partial(_local_disk, cluster)),
        Check(ABOUT, 20.0, partial(_gpus, asked["gpus"])),
        Check(ABOUT, 20.0, partial(_lock, folder)),
        Check(ABOUT, 40.0, partial(_modules, cluster)),
        Check(NETWORK, 60.0, partial(_network, cluster, asked["server"], asked["addresses"])),
    ]


def _machine(cluster: Cluster, end: float | None) -> Iterator[Finding]:
    yield Finding(ABOUT, "host", "info", f"{socket.gethostname()}, {os.uname().machine}, Linux {os.uname().release}")
    cores, memory = len(os.sched_getaffinity(0)), free_memory()
    yield Finding(ABOUT, "of the job", "info", f"{cores} cores, {in_gigabytes(memory)} of memory left")
    named = os.environ.get("CC_CLUSTER")
    mark = "info" if named is None else "ok" if named == cluster.name else "differs"
    yield Finding(ABOUT, "$CC_CLUSTER", mark, named or "is not set", cluster.name * (mark == "differs"))
    if end is None:
        todo = "the launcher would not warn a training before it; attach this report to an issue"
        yield Finding(ABOUT, "the job's time limit", "problem", "Slurm does not say it here", "a time", todo)
    else:
        how = "$SLURM_JOB_END_TIME" if "SLURM_JOB_END_TIME" in os.environ else "scontrol show job"
        yield Finding(ABOUT, "the job's time limit", "ok", f"in {end - time.time():.0f} s, by {how}")
    # For ever, so last: this process does nothing else afterwards.
    if shield():
        yield Finding(ABOUT, "shield against signals", "ok", "wandb's own process can be kept from ending with a job")
    else:
        found = "no seccomp filter can be set"
        yield Finding(
            ABOUT, "shield against signals", "differs", found, "one", "a job that is killed loses its last rows"
        )


def _local_disk(cluster: Cluster) -> Iterator[Finding]:
    what, named = "$SLURM_TMPDIR", os.environ.get("SLURM_TMPDIR")
    usual = f"/localscratch/{os.environ.get('USER', '')}.{os.environ.get('SLURM_JOB_ID', '')}.0"
    place = Path(named or usual)
    if not place.is_dir():
        found = f"{named}: no such folder" if named else f"is not set, and there is no {usual}"
        todo = f"the environment is unpacked into {os.environ.get('TMPDIR', '/tmp')}"
        yield Finding(ABOUT, what, "differs", found, "the job's folder on the node's own disk", todo)
        return
    if not named:
        yield Finding(ABOUT, what, "info", f"is not set here; {usual} is there")
    yield room(ABOUT, what, place)
    disk = os.statvfs(place)
    total, kind = disk.f_blocks * disk.f_frsize, filesystem_of(place)
    said = cluster.node_local
    if said is None:
        return
    expected = re.match(r"([\d.]+)([GT])", said)
    if expected is None:
        mark = "ok" if kind == "tmpfs" or "RAM" not in said else "differs"
        yield Finding(ABOUT, f"{what}, its kind", mark, kind, said * (mark != "ok"))
        return
    # What a site writes is what its disks are sold as; a half of it is another disk.
    enough = total >= float(expected[1]) * {"G": 1e9, "T": 1e12}[expected[2]] / 2
    yield Finding(ABOUT, f"{what}, its size", "ok" if enough else "differs", in_gigabytes(total), said * (not enough))


def _gpus(asked: int) -> Iterator[Finding]:
    given = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    mark = "ok" if len(given) == asked else "differs"
    yield Finding(ABOUT, "$CUDA_VISIBLE_DEVICES", mark, ",".join(given) or "nothing", f"{asked} GPUs" * (mark != "ok"))
    if not asked:
        return
    try:
        listed = answer_of("nvidia-smi", "-L", seconds=15)
    except NoAnswerError as error:
        yield Finding(ABOUT, "GPUs", "unknown", str(error), f"{asked} in what nvidia-smi lists")
        return
    for line in listed.splitlines():
        # Without its serial number, which a public issue need not show.
        yield Finding(ABOUT, "GPUs", "info", re.sub(r"\s*\(UUID: [^)]*\)", "", line).strip())


def _lock(folder: Path) -> Iterator[Finding]:
    said = other_takes(folder / LOCK)
    what = "a lock (flock) that the login node holds"
    if said == "refused":
        yield Finding(ABOUT, what, "ok", "is refused here: the file system carries locks from node to node")
    else:
        found = "can be taken here too" if said == "taken" else said
        todo = "between machines runferry sync goes by a file (.sync/holder.json), which needs no locks"
        yield Finding(ABOUT, what, "differs", found, "refused", todo)


def _modules(cluster: Cluster) -> Iterator[Finding]:
    name = facts(cluster.name)["modules"]["python"]
    if name is None:
        return
    loaded = load_module(name)
    yield not_loaded(ABOUT, name, loaded) if isinstance(loaded, str) else Finding(ABOUT, name, "ok", "can be loaded")


def _network(cluster: Cluster, server: str, addresses: list[str]) -> Iterator[Finding]:
    """Try each address as a job is, and with the module that an online job loads."""
    ways: dict[str, dict[str, str]] = {"": dict(os.environ)}
    if module := cluster.wandb.module:
        loaded = load_module(module)
        if isinstance(loaded, str):
            yield not_loaded(NETWORK, module, loaded)
        else:
            ways[f" after module load {module}"] = loaded
    with ThreadPoolExecutor(8) as pool:
        tried = {
            pool.submit(reach, url, variables): (url, way)
            for way, variables in ways.items()
            for url in dict.fromkeys([server, *addresses])
        }
        for future in as_completed(tried):
            url, way = tried[future]
            answer = future.result()
            expected = _expected(cluster, url, server, with_module=bool(way))
            mark = "info" if expected is None else "ok" if answer.reached is expected else "differs"
            word = {True: "it can be reached", False: "it cannot be reached", None: ""}[expected]
            yield Finding(NETWORK, f"{url}{way}", mark, answer.how, word * (mark == "differs"))


def _expected(cluster: Cluster, url: str, server: str, *, with_module: bool) -> bool | None:
    """Return whether the site's page on W&B says that an address can be reached; None where it says nothing."""
    if url not in {server, STORAGE}:
        return None
    match cluster.wandb.availability:
        case "limited":
            return with_module and url == server
        case availability:
            return availability == "yes"


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main(Path(sys.argv[1])))
