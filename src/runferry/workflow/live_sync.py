"""Start and stop live sync during a workflow: a process of its own, which ends when that Snakemake does."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STOP_SECONDS = 30.0
"""For requests that are under way to end."""

# By results folder: a workflow may use this one as a module several times.
_started: dict[Path, subprocess.Popen[bytes]] = {}


def start(results: Path, log: Path, interval: float, *, attempts_follow: bool) -> None:
    """Start `runferry sync --watch` of a results folder for running runs; the rules sync those that ended.

    Parameters
    ----------
    results
        The folder of experiments; made where it is missing.
    log
        Where its lines go, added to what is there.
    interval
        Seconds between two looks.
    attempts_follow
        Whether this workflow starts another attempt of a run that was cut short.
    """
    results.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["sync", "--watch", "--running-only", f"--interval={interval}", f"--with-process={os.getpid()}"]
    words += ["--attempts-follow"] * attempts_follow
    with log.open("ab") as stream:
        # A session of its own: a Ctrl-C in the terminal is for Snakemake, which says what becomes of the jobs.
        _started[results] = subprocess.Popen(
            [sys.executable, "-m", "runferry", *words, str(results)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def stop(results: Path) -> None:
    """Stop the live sync that `start` has started for a results folder, if any; nothing is lost by it."""
    process = _started.pop(results, None)
    if process is None:
        return
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
        return
    process.kill()
    process.wait()
