"""Define `runferry sync --watch`: live sync, as a user types it and as the workflow starts it."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from runferry.cli.common import interval
from runferry.cli.job_options import job_place
from runferry.sync.options import words_of
from runferry.sync.watch import Syncer, only_watcher, results_folders, runs_below

if TYPE_CHECKING:
    import argparse

    from runferry.sync.slurm_job import JobPlace


def add_watch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of live sync to `runferry sync`."""
    group = parser.add_argument_group("live sync")
    group.add_argument(
        "--watch",
        action="store_true",
        help="go on until Ctrl-C: send what running runs write while they train, and sync each when it has ended",
    )
    group.add_argument(
        "--interval",
        type=interval,
        default=30.0,
        metavar="SECONDS",
        help="between two looks at the disk (default: %(default).0f)",
    )
    group.add_argument(
        "--running-only", action="store_true", help="leave runs that have ended to others (the workflow's rules)"
    )
    group.add_argument(
        "--attempts-follow",
        action="store_true",
        help="show runs that were cut short as running, until the workflow has given them up",
    )
    group.add_argument("--with-process", type=int, metavar="PID", help="end when this process, which started it, ends")


def watch(given: argparse.Namespace) -> int:
    """Watch the given paths until stopped; return 0 after Ctrl-C, SIGTERM or the end of the controller.

    Raises
    ------
    RunferryError
        When another process watches the same results, or the server refuses the key.
    """
    if place := job_place(given):
        return _watch_in_job(given, place)
    from runferry.sync.wandb.live import Watcher
    from runferry.sync.wandb.live_run import LiveOptions
    from runferry.sync.watch import stop_on_signals
    from runferry.system.progress import progress_for

    progress = progress_for(as_json=given.json)
    results = results_folders(given.paths)
    syncer = None if given.running_only else Syncer(given)
    options = LiveOptions(given.interval, given.parallel, given.with_process, syncer, given.attempts_follow)
    watcher = Watcher(lambda: runs_below(given.paths), options, progress.say)
    stop_on_signals(watcher)
    with only_watcher(results) as beat:
        progress.say(f"watching {', '.join(map(str, given.paths))} every {given.interval:.0f} s; Ctrl-C ends it")
        try:
            watcher.watch(beat)
        finally:
            if syncer:
                syncer.close()
    progress.say("stopped watching; started again it goes on where it was")
    return 0


def _watch_in_job(given: argparse.Namespace, place: JobPlace) -> int:
    from runferry.sync.slurm_job import watch_in_job
    from runferry.system.processes import is_alive
    from runferry.system.progress import progress_for

    progress = progress_for(as_json=given.json)
    words = ["--watch", f"--interval={given.interval}", *words_of(given)]
    words += ["--running-only"] * given.running_only + ["--attempts-follow"] * given.attempts_follow
    words += [str(path.resolve()) for path in given.paths]
    (results,) = results_folders(given.paths)
    # What is raised has the job cancelled.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    watch_in_job(results, place, words, progress.say, lambda: not given.with_process or is_alive(given.with_process))
    return 0
