"""`python -m runferry_standin`: start the stand-in, alone or around a command."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from runferry.errors import ConfigError, RunferryError
from runferry_standin.app import DEMO_KEY
from runferry_standin.server import running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from runferry_standin.client import StandIn

_DESCRIPTION = """\
A stand-in for a W&B server, for demonstration and tests. It is not W&B's server: it keeps the data of one person on
this machine, listens on loopback only, and shows plain pages instead of W&B's. wandb's own clients, 0.22 to the
newest, work against it unmodified.
"""

_EPILOG = f"""\
The key is --key, else $WANDB_API_KEY, else the one that everybody knows:
{DEMO_KEY}
With a key of your own, the pages ask for it too (user name: api). Other people on this machine can read what is on
its loopback, and the command line: so give it in $WANDB_API_KEY.

With a COMMAND, the stand-in runs around it: COMMAND finds WANDB_BASE_URL and WANDB_API_KEY in its environment, and its
exit code is the exit code. Signals are passed on to it. It cannot read from the terminal.

examples:
  python -m runferry_standin
  python -m runferry_standin --data :memory: -- snakemake --profile profiles/local
"""

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 2 for a usage error, or the command's own."""
    options = _parser().parse_args(arguments)
    key = options.key or os.environ.get("WANDB_API_KEY") or DEMO_KEY
    data = None if options.data == ":memory:" else Path(options.data)
    command: list[str] = options.command
    # Before the server starts, so that no signal finds the default, which leaves the command behind.
    signals = _Signals()
    try:
        with running(
            data=data,
            key=key,
            host=options.host,
            port=options.port,
            storage_port=options.storage_port,
            lag=options.lag,
        ) as server:
            # What the command prints stays alone on standard output.
            _announce(server, options.data, sys.stderr if command else sys.stdout)
            return _run_command(command, server, signals) if command else signals.wait()
    except RunferryError as error:
        sys.stderr.write(f"runferry_standin: {error}\n")
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runferry_standin",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="0 picks a free one (8080)")
    parser.add_argument(
        "--storage-port", type=int, metavar="PORT", help="where files' contents go; 0 picks a free one (same as --port)"
    )
    parser.add_argument(
        "--data",
        default=".standin/server.sqlite",
        metavar="FILE",
        help="where everything is kept; :memory: keeps nothing (.standin/server.sqlite)",
    )
    parser.add_argument(
        "--lag",
        type=float,
        metavar="SECONDS",
        help="counts and summaries come so late, as W&B's do ($STANDIN_LAG, else 0)",
    )
    parser.add_argument("--key", help="the API key that clients must have, 40 characters or more")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="what to run, after --")
    return parser


def _announce(server: StandIn, data: str, stream: TextIO) -> None:
    print(f"W&B stand-in at {server.url} (data: {data})", file=stream)
    key = server.key if server.key == DEMO_KEY else "<the key you gave>"
    print(f"\n    export WANDB_BASE_URL={server.url}\n    export WANDB_API_KEY={key}\n", file=stream, flush=True)


class _Signals:
    """What happens on SIGINT, SIGTERM and SIGHUP: the server stops, or the command is told."""

    def __init__(self) -> None:
        self._pending: deque[int] = deque()
        self._any = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        for number in _PASSED_ON:
            signal.signal(number, self._receive)

    def wait(self) -> int:
        """Wait for one and return the exit code: stopping is what was asked for."""
        self._any.wait()
        return 0

    def pass_on_to(self, process: subprocess.Popen[bytes]) -> None:
        """Send the command each signal that comes from now on, and those that came too early for it."""
        self._process = process
        self._send()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._pending.append(number)
        self._any.set()
        self._send()

    def _send(self) -> None:
        # May be interrupted by itself: what is taken from the queue is sent, and once.
        while self._process is not None and self._pending:
            self._process.send_signal(self._pending.popleft())


def _run_command(command: list[str], server: StandIn, signals: _Signals) -> int:
    # A process group of its own: a Ctrl-C, or a signal to our group, reaches it through us, and so exactly once
    # (two make Snakemake leave its jobs behind). A process that is not the terminal's foreground would be stopped
    # when it reads from it.
    stdin = subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None
    try:
        process = subprocess.Popen(command, env=os.environ | server.environment, stdin=stdin, process_group=0)
    except OSError as error:
        message = f"{command[0]}: cannot be run ({error.strerror}); expected a command after --"
        raise ConfigError(message) from error
    signals.pass_on_to(process)
    code = process.wait()
    # As a shell says it.
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
