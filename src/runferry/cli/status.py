"""Define `runferry status`: show the state of all runs, once or on a screen that is refreshed."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from runferry.cli.common import RUN_PATHS, interval, run_folders_and_missing
from runferry.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from runferry.cli.common import Commands
    from runferry.report.status.model import Status

INTERVAL_SECONDS = 30.0


def add_status(commands: Commands) -> None:
    """Add `status` to the command line."""
    parser = commands.add_parser(
        "status",
        help="show runs by state, the queue, what is not on the server yet, what failed and what cannot be read",
        description="Show, for each experiment, its runs by state and the last value of its metric; what is in Slurm's "
        "queue and why it waits; what is not on the server yet; the last lines of what failed. Looks at the disk and "
        "asks squeue once; no server is asked.",
    )
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("results")], metavar="PATH", help=RUN_PATHS)
    parser.add_argument("--metric", metavar="NAME", help="whose last value is shown (default: the metric of the sweep)")
    parser.add_argument("--json", action="store_true", help="print one JSON object; with --watch one a line")
    parser.add_argument("--watch", action="store_true", help="show it again and again until Ctrl-C")
    parser.add_argument(
        "--interval",
        type=interval,
        default=INTERVAL_SECONDS,
        metavar="SECONDS",
        help="between two looks at the disk with --watch (default: %(default).0f); Slurm is asked every 30 s at most",
    )
    parser.set_defaults(command=_status)


def _status(given: argparse.Namespace) -> int:
    from runferry.report.status.look import Looking
    from runferry.report.status.queue import Asking
    from runferry.report.status.text import Style, lines

    looking = Looking(given.metric, Asking(given.interval))
    style = Style.of(sys.stdout)

    def look() -> Status:
        return looking.look(run_folders_and_missing(given.paths))

    def text(status: Status) -> str:
        return json.dumps(status.as_json()) if given.json else "\n".join(lines(status, style))

    if not given.watch:
        sys.stdout.write(f"{text(look())}\n")
        return 0
    signal.signal(signal.SIGTERM, _end)
    if given.json or not sys.stdout.isatty():
        return _print_again_and_again(lambda: text(look()), given.interval)
    return _watch(look, text, given.interval)


def _end(number: int, _frame: Any) -> NoReturn:
    # Unlike the signal's own action this gives the terminal back.
    raise SystemExit(128 + number)


def _print_again_and_again(text: Callable[[], str], seconds: float) -> int:
    try:
        while True:
            sys.stdout.write(f"{text()}\n")
            sys.stdout.flush()
            time.sleep(seconds)
    except KeyboardInterrupt:
        return 0


def _watch(look: Callable[[], Status], text: Callable[[Status], str], seconds: float) -> int:
    from runferry.report.status.screen import whole_screen

    shown = ""
    try:
        with whole_screen(sys.stdout) as screen:
            while True:
                try:
                    shown = text(look())
                except ConfigError as error:
                    # The workflow may not have written the first run yet.
                    shown = str(error)
                title = f"runferry status at {time.strftime('%H:%M:%S')}, every {seconds:g} s; Ctrl-C ends it"
                end = time.monotonic() + seconds
                while (left := end - time.monotonic()) > 0:
                    # Once a second, because the window may have another size by then.
                    screen.show([title, *shown.splitlines()])
                    time.sleep(min(left, 1.0))
    except KeyboardInterrupt:
        # What was seen last stays, as if it had been asked for once.
        sys.stdout.write(f"{shown}\n" if shown else "")
        return 0
