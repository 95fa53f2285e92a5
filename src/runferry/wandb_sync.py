"""The one place that knows how `wandb sync` is called: the dialect of wandb 0.31, which the controller asks for.

Its exit code and its `.synced` marker are not believed by anyone here (it exits 0 and marks a run as synced after the
server refused every row); what it did is found out by asking the server.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

from runferry.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runferry.server import Server

PARALLEL_RUNS = 20
"""Runs that one `wandb sync` sends at once: with 100 ms of latency 20 are three times faster than the default of 5."""

# What a person has set for training says nothing about syncing, and some of it would change what is sent where.
_KEPT = ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_HTTP_TIMEOUT", "WANDB_APP_URL", "WANDB_ERROR_REPORTING")


def send(segments: Sequence[Path], server: Server, *, deadline: float, log: IO[str] | None) -> None:
    """Send segments to the server in one `wandb sync` process; segments of one run go up in the order of their start.

    What the server has of a run is continued, after its last line and step.

    Parameters
    ----------
    segments
        Their folders, `offline-run-*` or `run-*`.
    deadline
        Seconds after which the process is ended; wandb itself would try for days.
    log
        Where its output goes; None is nowhere.

    Raises
    ------
    ServerError
        When the deadline passed. How much was sent is not known then.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_") or key in _KEPT}
    # resume: a second segment goes on at the server's last step. From 0.31 on the segments say so themselves.
    environment |= {"WANDB_BASE_URL": server.base_url, "WANDB_API_KEY": server.key, "WANDB_RESUME": "allow"}
    with tempfile.TemporaryDirectory(prefix="runferry-sync-") as folder:
        # Its debug logs go here, not into the folder that the person stands in.
        environment["WANDB_DIR"] = folder
        command = [sys.executable, "-m", "wandb", "sync"]
        # A segment of an online run is left out otherwise, though it is named.
        command += ["--include-synced", "--include-online", "-n", str(PARALLEL_RUNS)]
        process = subprocess.Popen(
            [*command, *(str(segment.resolve()) for segment in segments)],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log or subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C is for runferry, which then ends wandb and its core together.
            start_new_session=True,
        )
        try:
            process.wait(deadline)
        except subprocess.TimeoutExpired as error:
            message = f"{server.base_url}: wandb sync had not finished after {deadline:.0f} s and was stopped"
            raise ServerError(f"{message}; run the same again") from error
        finally:
            _end(process)
            if log:
                for file in sorted(Path(folder).glob("**/debug-*.log")):
                    log.write(f"--- {file.name}\n{file.read_text(errors='replace')}")
                log.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End `wandb sync` and its wandb-core, which has a session of its own and would go on trying for days."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()


def unmark(segment: Path) -> None:
    """Remove the markers that call a segment synced, so that `wandb sync` and `wandb clean` do not believe it."""
    for marker in segment.glob("*.wandb.synced"):
        marker.unlink(missing_ok=True)
