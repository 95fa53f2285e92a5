"""Run the pack of a job: some runs at a time, each with its own launcher and GPUs, until each has had an attempt.

A launcher is a process, `runferry launch RUN_FOLDER`, so that a run of a pack is trained as one with a job of its own:
its own attempt, log, wandb-core. One that fails, or is killed, leaves the others alone.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from runferry.errors import LaunchError
from runferry.launch.node_files import wait_for_file
from runferry.launch.parts import DEVICES, devices_of, threads_of_part
from runferry.launch.retries import check_retry
from runferry.launch.signals import PassingOn, SignalWatch, Witness
from runferry.runs.ending import UNDER_WAY, signal_name
from runferry.runs.pack import PackEnd, done_file, read_pack, runs_left
from runferry.runs.slurm import RUN_END_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runferry.runs.folder import RunFolder
    from runferry.runs.pack import Pack


#: Seconds from the signal that ends a run whose time is over to the SIGKILL of its launcher, whose keeper then ends it.
OVERTIME_SECONDS = 60.0


#: Seconds in which the record of a run may be written whose launcher was killed: see `core_keeper.TimeLimits`.
_RECORD_SECONDS = 60.0

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def launch_pack(folder: Path, *, overtime_seconds: float = OVERTIME_SECONDS) -> int:
    """Run the remaining runs of a pack. Call it in the main thread of a process that has no other thread.

    Parameters
    ----------
    folder
        Of the pack; `runs.json` is in it.
    overtime_seconds
        How long a run whose time is over has to end.

    Returns
    -------
    int
        0, and `done.json` is written, when each run has had its attempt, also when some of these failed; 1 when some
        are to go on in another job; 128 + N when signal N ended it before each had one.

    Raises
    ------
    RunferryError
        When the folder is not a pack's, or the job has too few GPUs for the runs at a time.
    """
    wait_for_file(folder / "runs.json")
    pack = read_pack(folder)
    left = runs_left(folder, pack)
    check_retry(left)
    signals = SignalWatch()
    # There is nothing to clean up before the first launcher: signals are read from the start.
    signals.preparing = False
    with (folder / "pack.log").open("a", buffering=1) as log, signals, Witness() as witness:
        job = _Job(pack, _lanes(pack, os.environ), log, overtime_seconds)
        job.say(f"{len(left)} of {len(pack.runs)} runs to train, {pack.side_by_side} at a time")
        job.run(deque(left), signals, witness)
        _wait_for_records(job.killed)
        again = [run for run in runs_left(folder, pack) if not job.could_not_start(run)]
        if again:
            why = f", ended by {signal_name(job.stopped)}" if job.stopped else ""
            job.say(f"{len(again)} runs are left for another attempt{why}")
            return 128 + job.stopped if job.stopped else 1
        PackEnd(_now(), job.ended).write(done_file(folder))
        failed = sum(status != 0 for status in job.ended.values())
        job.say(f"all runs have had their attempt; {failed} failed")
    return 0


@dataclass(frozen=True)
class _Lane:
    """What one run at a time has of the job."""

    variables: Mapping[str, str]
    cores: frozenset[int]
    """Empty where there are fewer than runs."""

    @property
    def devices(self) -> str:
        return ", ".join(f"{name}={self.variables[name]}" for name in DEVICES if name in self.variables)


def _lanes(pack: Pack, given: Mapping[str, str]) -> list[_Lane]:
    """Divide the job's GPUs and cores among the runs at a time.

    Raises
    ------
    LaunchError
        When it has too few GPUs.
    """
    count = pack.side_by_side
    devices = devices_of(given) if pack.gpus else {}
    found = min(map(len, devices.values()), default=0)
    needed = pack.gpus * -(-count // pack.share_gpu)
    # Outside of Slurm, all GPUs of the machine are there without a word of them; whose runs share one, need no word.
    handed_out = devices or pack.share_gpu == 1 or "SLURM_JOB_ID" in given
    if found < needed and handed_out:
        each = f"each of {count} runs" if pack.share_gpu == 1 else f"{pack.share_gpu} runs at a time, of {count}"
        message = f"found {found} GPUs in {DEVICES[0]}, expected {needed}: {pack.gpus} for {each}"
        raise LaunchError(message)
    cores = sorted(os.sched_getaffinity(0))
    each = len(cores) // count
    lanes: list[_Lane] = []
    for number in range(count):
        first = number // pack.share_gpu * pack.gpus
        own = slice(first, first + pack.gpus)
        variables = {name: ",".join(names[own]) for name, names in devices.items()}
        variables |= threads_of_part(given, count)
        lanes.append(_Lane(variables, frozenset(cores[number * each : (number + 1) * each] if count > 1 else ())))
    return lanes


@dataclass
class _Running:
    """A run that is being trained."""

    run: RunFolder
    process: subprocess.Popen[bytes]
    lane: _Lane
    passing: PassingOn
    time_is_over: float | None
    """When to act, by the monotonic clock, on a run that takes too long."""
    asked_to_end: bool = False


@dataclass
class _Job:
    """The launchers of a job."""

    pack: Pack
    lanes: list[_Lane]
    log: IO[str]
    overtime_seconds: float
    ended: dict[str, int] = field(default_factory=dict[str, int])
    """The exit code of each run that has ended, as a shell gives it."""
    stopped: int | None = None
    """The signal that ended the job: no run is started after it."""
    killed: list[RunFolder] = field(default_factory=list["RunFolder"])
    """Those whose launcher was killed: its keeper ends the command then, and writes how it ended."""
    _running: list[_Running] = field(default_factory=list[_Running])

    def run(self, waiting: deque[RunFolder], signals: SignalWatch, witness: Witness) -> None:
        """Return when each of `waiting` has been started and has ended, or those that had been when a signal came."""
        while True:
            while waiting and self.lanes and self.stopped is None:
                self._start(waiting.popleft(), self.lanes.pop(0))
            if not self._running:
                return
            ready = select.select([signals, witness], [], [], self._seconds_to_next())[0]
            received = [number for number in signals.read() if number != signal.SIGCHLD] if signals in ready else []
            for number in received:
                self.stopped = self.stopped or number
                self.say(f"got {signal_name(number)}; no other run is started")
            sent_to_all = witness.read() if witness in ready else []
            for one in self._running:
                for number in received:
                    one.passing.received(number)
                for number in sent_to_all:
                    one.passing.was_sent_to_all(number)
            # Before the dead are waited for: until then their process ids are theirs.
            self._act_on_what_is_due()
            self._clear_away_what_has_ended()

    def could_not_start(self, run: RunFolder) -> bool:
        """Return whether a run's launcher has ended before there was an attempt: no other job could start it either."""
        name = run.path.name
        return name in self.ended and len(run.attempts()) == self.pack.runs[name]

    def say(self, text: str) -> None:
        """Write a line into the pack's log, and show it to a user who waits."""
        self.log.write(f"{_now()} {text}\n")
        if sys.stderr.isatty():
            sys.stderr.write(f"runferry: {text}\n")

    def _start(self, run: RunFolder, lane: _Lane) -> None:
        variables = {**os.environ, **lane.variables}
        over = None
        if self.pack.seconds is not None:
            over = time.monotonic() + self.pack.seconds
            variables[RUN_END_VARIABLE] = f"{time.time() + self.pack.seconds:.0f}"
        process = subprocess.Popen(
            [sys.executable, "-m", "runferry", "launch", str(run.path)],
            env=variables,
            stdin=subprocess.DEVNULL,
            # Of its own: a Ctrl-C reaches this process alone, which passes it on.
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - there are no threads
        )
        if lane.cores:
            os.sched_setaffinity(process.pid, lane.cores)
        self._running.append(_Running(run, process, lane, PassingOn(), over))
        self.say(f"run {run.path.name}: started {lane.devices}".rstrip())

    def _seconds_to_next(self) -> float | None:
        now = time.monotonic()
        times = [one.passing.due_in() for one in self._running]
        times += [max(0.0, one.time_is_over - now) for one in self._running if one.time_is_over is not None]
        return min((seconds for seconds in times if seconds is not None), default=None)

    def _act_on_what_is_due(self) -> None:
        now = time.monotonic()
        for one in self._running:
            one.passing.act(one.process.pid)
            if one.time_is_over is None or now < one.time_is_over:
                continue
            if one.asked_to_end:
                self.say(f"run {one.run.path.name}: killed, {self.overtime_seconds:.0f} s after its time was over")
                os.kill(one.process.pid, signal.SIGKILL)
                one.time_is_over = None
            else:
                self.say(f"run {one.run.path.name}: its time is over")
                os.kill(one.process.pid, signal.SIGTERM)
                one.asked_to_end, one.time_is_over = True, now + self.overtime_seconds

    def _clear_away_what_has_ended(self) -> None:
        for one in list(self._running):
            code = one.process.poll()
            if code is None:
                continue
            self._running.remove(one)
            self.lanes.append(one.lane)
            if code < 0:
                self.killed.append(one.run)
            with suppress(FileNotFoundError):
                one.run.trained_file.rename(one.run.finished_file)
            self.ended[one.run.path.name] = status = code if code >= 0 else 128 - code
            self.say(f"run {one.run.path.name}: " + ("finished" if status == 0 else f"failed, exit code {status}"))


def _end_with_parent() -> None:
    # Should this process be killed, the launchers get a SIGTERM, which they pass on to their commands.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_for_records(runs: list[RunFolder]) -> None:
    deadline = time.monotonic() + _RECORD_SECONDS
    while time.monotonic() < deadline:
        attempts = [run.attempts() for run in runs]
        if not any(records and records[-1].outcome in UNDER_WAY for records in attempts):
            return
        time.sleep(0.1)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
