"""Run checks at the same time, each in a process that is killed at its time limit with all that it started.

A process and not a thread: a file system or a name server that does not answer holds whoever asks it, and nothing
ends a thread.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, cast

from runferry.doctor.finding import Finding
from runferry.errors import RunferryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@dataclass(frozen=True)
class Check:
    """A check: its subject, its time limit, and the function that looks.

    Attributes
    ----------
    about : str
        As in the findings.
    seconds : float
        How long it may take.
    look : callable
        Yields findings; what it has yielded counts also where it does not come to its end.
    """

    about: str
    seconds: float
    look: Callable[[], Iterable[Finding]]


@dataclass
class _RunningCheck:
    check: Check
    process: int
    """Its id, and the number of its session."""
    end: float
    findings: list[Finding] = field(default_factory=list[Finding])

    def kill(self) -> None:
        """End the check and whatever it started, and wait a second for its end, no longer: a disk may hold it."""
        for end in (os.killpg, os.kill):
            # It may not have come to be a session of its own, or has ended.
            with suppress(ProcessLookupError, PermissionError):
                end(self.process, signal.SIGKILL)
        deadline = time.monotonic() + 1.0
        while os.waitpid(self.process, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.005)


def run_checks(
    checks: Sequence[Check], done: Callable[[list[Finding]], object] = lambda _findings: None
) -> list[Finding]:
    """Run checks and return their findings, in the order of the checks.

    A check that fails, or that does not end in time, is a finding "unknown" and never an exception.

    Parameters
    ----------
    checks
        All are started at once.
    done
        Takes the findings of a check as soon as it has ended.
    """
    running: dict[Connection, _RunningCheck] = {}
    everything: list[_RunningCheck] = []
    try:
        for check in checks:
            receiver, process = _start(check)
            running[receiver] = _RunningCheck(check, process, time.monotonic() + check.seconds)
            everything.append(running[receiver])
        while running:
            next_end = min(one.end for one in running.values())
            # It returns some of what it was given.
            ready = cast("list[Connection]", wait(list(running), max(0.0, next_end - time.monotonic())))
            for receiver in ready:
                try:
                    running[receiver].findings.append(receiver.recv())
                except EOFError:
                    _end(running, receiver, done)
            for receiver, one in list(running.items()):
                if time.monotonic() >= one.end:
                    found = f"no answer within {one.check.seconds:g} s"
                    one.findings.append(Finding(one.check.about, "the check itself", "unknown", found))
                    _end(running, receiver, done)
    finally:
        for one in running.values():
            one.kill()
    return [finding for one in everything for finding in one.findings]


def _start(check: Check) -> tuple[Connection, int]:
    """Start a check; return where its findings come from, and its process.

    A fork has what was imported already and starts in milliseconds. Not one of multiprocessing's, for which this
    process would wait when it ends, and be it for ever.
    """
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(reader)
            # Ctrl-C is the parent's, which ends this.
            os.setsid()
            _look(check, Connection(writer, readable=False))
        finally:
            os._exit(0)
    os.close(writer)
    return Connection(reader, writable=False), process


def _end(
    running: dict[Connection, _RunningCheck], receiver: Connection, done: Callable[[list[Finding]], object]
) -> None:
    one = running.pop(receiver)
    one.kill()
    receiver.close()
    done(one.findings)


def _look(check: Check, sender: Connection) -> None:
    try:
        for finding in check.look():
            sender.send(finding)
    except RunferryError as error:
        sender.send(Finding(check.about, "the check itself", "unknown", str(error)))
    except Exception as error:  # noqa: BLE001 - one check that fails must not hide what the others found
        first_line = str(error).partition("\n")[0]
        found = f"it failed with {type(error).__name__}: {first_line}"
        sender.send(Finding(check.about, "the check itself", "unknown", found))
