"""Submit one short job, when asked, that looks at a compute node and waits for its own end."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.config.account import known_accounts
from runferry.doctor.answer import NoAnswerError, answer_of
from runferry.doctor.finding import Finding
from runferry.doctor.locks import held
from runferry.doctor.node import ASKED, LOCK, SEEN
from runferry.doctor.submission import account_for, gpu_option, memory_option, payers, shortest
from runferry.errors import AccountError, RunferryError
from runferry.runs.slurm import ACTIVE
from runferry.system.files import read_json, write_atomically, write_json
from runferry.trackers.api_keys import without_keys
from runferry.trackers.wandb.address import server_url

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from runferry.doctor.site import Site

ABOUT, SIGNALS = "probe", "signals before the end"
WARNING = 120
"""Seconds before its end at which the job asks for a signal; Slurm may send it up to a minute sooner (sbatch(1))."""
_LOOK, _QUEUE = 1.0, 30.0
"""Seconds between two looks at the job's file, and at the queue: the sites ask for none every few seconds."""
_GRACE = 15.0
"""Seconds in which what the job wrote last comes to be seen here."""


@dataclass(frozen=True)
class ProbeOptions:
    """The options of the probe's job.

    Attributes
    ----------
    gpu : bool
        Whether it has a GPU.
    patience : float
        Seconds that it may wait in the queue.
    seconds : float or None
        After which it ends by itself, and at the first signal; None stays to its time limit.
    """

    gpu: bool = True
    patience: float = 3600.0
    seconds: float | None = None


def probe(site: Site, options: ProbeOptions, say: Callable[[str], None]) -> list[Finding]:
    """Submit the job, wait for it and return its findings; a job that did not run is a finding too.

    On Ctrl-C, or when it waits for too long, the job is cancelled.
    """
    try:
        with _folder(site) as folder, held(folder / LOCK):
            job, warning = _submit(site, options, folder)
            try:
                say(f"probe: job {job} is submitted; Ctrl-C cancels it")
                end = _wait(job, folder, options, say)
            except BaseException:
                _cancel(job)
                raise
            return _judge(job, end, warning, folder, options)
    except RunferryError as error:
        return [Finding(ABOUT, "the job", "problem", str(error), "a job")]


@contextmanager
def _folder(site: Site) -> Generator[Path]:
    # Beside the results: a job of the workflow has to see that file system as well.
    folder = Path(tempfile.mkdtemp(prefix=".runferry-doctor-", dir=site.folder))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _submit(site: Site, options: ProbeOptions, folder: Path) -> tuple[str, int]:
    """Submit the job; return its id, and how many seconds before its end it asks for a signal."""
    known = known_accounts()
    if site.account is None and len(payers(known)) > 1:
        message = f"found several accounts ({', '.join(known)}), expected one that pays; add --account NAME"
        raise AccountError(message)
    gpu = gpu_option(site) if options.gpu else []
    count = int(gpu[0].rpartition("=")[2].rpartition(":")[2]) if gpu else 0
    server = server_url(site.base_url)
    write_json(
        folder / ASKED,
        {
            "cluster": site.cluster.name,
            "server": server,
            "addresses": list(site.addresses),
            "gpus": count,
            "seconds": options.seconds,
        },
    )
    minutes = shortest(site)
    # With a time of its own to end, the signal comes at once.
    warning = WARNING if options.seconds is None else minutes * 60 - 2
    script = folder / "job.sh"
    # `exec`: the signal is for the batch script's own process alone. Until Python listens it is ignored.
    run = shlex.join([sys.executable, "-m", "runferry.doctor.node", str(folder)])
    write_atomically(script, f"#!/bin/bash\ntrap '' USR1\nexec {run}\n")
    account = account_for(site, known, gpu=bool(gpu))
    command = ["sbatch", "--parsable", "--job-name=runferry-doctor", f"--output={folder}/job.log", "--no-requeue"]
    command += [f"--time={minutes}", "--cpus-per-task=2", f"--signal=B:USR1@{warning}"]
    command += [f"--account={account}"] if account else []
    said = answer_of(*command, *memory_option(site), *gpu, str(script), variables=without_keys(), folder=site.folder)
    # "123" or "123;cluster", whatever a site's plugin prints beside it.
    ids = re.findall(r"^(\d+)(?:;\S*)?$", said, re.MULTILINE)
    if not ids:
        message = f"sbatch said {said!r}, expected a job's id; look for runferry-doctor in squeue"
        raise NoAnswerError(message)
    return ids[-1], warning


def _wait(job: str, folder: Path, options: ProbeOptions, say: Callable[[str], None]) -> str:
    """Wait for the job's end; return its last state as Slurm has it, or "" where the job has said that it ends."""
    queue_at = time.monotonic()
    deadline = queue_at + options.patience
    said = ""
    while True:
        seen = _seen(folder)
        if seen.get("ended"):
            return ""
        if time.monotonic() >= queue_at:
            queue_at = time.monotonic() + _QUEUE
            if time.monotonic() < deadline:
                queue_at = min(queue_at, deadline)
            state, reason = _in_queue(job)
            if state and state not in ACTIVE:
                time.sleep(_GRACE if not seen else _LOOK)
                return state
            line = f"probe: job {job} is {state.lower()}" + (f" ({reason})" if state == "PENDING" else "")
            if state and line != said:
                said = line
                say(line)
            if state == "PENDING" and time.monotonic() >= deadline:
                message = f"the job was still pending ({reason}) after {options.patience / 60:.0f} minutes; cancelled"
                raise RunferryError(message)
        time.sleep(_LOOK)


def _in_queue(job: str) -> tuple[str, str]:
    """Return the job's state and why it waits; nothing where Slurm does not answer, which is no end."""
    try:
        listed = answer_of("squeue", "--noheader", f"--jobs={job}", "--states=all", "--format=%T|%r", seconds=30)
    except NoAnswerError as error:
        return ("COMPLETED", "") if "Invalid job id" in str(error) else ("", "")
    state, _, reason = (listed.splitlines() or ["COMPLETED"])[-1].strip().partition("|")
    return state, reason


def _seen(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / SEEN)
    except (OSError, ValueError):
        return {}


def _judge(job: str, state: str, warning: int, folder: Path, options: ProbeOptions) -> list[Finding]:
    seen = _seen(folder)
    if not seen:
        log = folder / "job.log"
        lines = " / ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else ""
        found = f"job {job} ended ({state}) without a word" + (f"; its log ends with: {lines}" if lines else "")
        return [Finding(ABOUT, "the job", "problem", found, "what it saw", "attach this report to an issue")]
    found = [Finding(ABOUT, "the job", "ok", f"{job} ran on {seen['host']}")]
    found += [Finding(**finding) for finding in seen["findings"]]
    return [*found, *_signals(seen, warning, to_the_end=options.seconds is None)]


def _signals(seen: Mapping[str, Any], warning: int, *, to_the_end: bool) -> Iterator[Finding]:
    """Yield which signals came when, as the job saw its own end."""
    came, end, last = seen["signals"], seen["end"], seen["last"]
    what = f"SIGUSR1, asked for {warning} s before (--signal=B:USR1@{warning})"
    if "SIGUSR1" in came:
        before = f"{end - came['SIGUSR1']:.0f} s before the time limit" if end else "some time before the end"
        yield Finding(SIGNALS, what, "ok", f"came {before}")
    else:
        yield Finding(SIGNALS, what, "differs", "did not come", "it comes")
    if not to_the_end:
        yield Finding(SIGNALS, "SIGTERM at the time limit", "info", "not waited for")
    elif "SIGTERM" in came:
        late = f"came {came['SIGTERM'] - end:.0f} s after the time limit" if end else "came"
        lived = f"the job was alive for {last - came['SIGTERM']:.0f} s more"
        yield Finding(SIGNALS, "SIGTERM at the time limit", "ok", f"{late}; {lived}")
    else:
        yield Finding(SIGNALS, "SIGTERM at the time limit", "differs", "did not come before SIGKILL", "it comes")


def _cancel(job: str) -> None:
    with suppress(NoAnswerError):
        answer_of("scancel", job)
