"""Set wandb's variables for each mode: offline, online, and online with metrics only.

A limited cluster's proxy lets W&B's API through and not the storage that it hands out addresses of, where everything
goes that is not a metric: wandb's own files about the run, `wandb.save()`, media, tables, artifacts. Left alone,
wandb tries to reach it for a quarter of an hour where connections are refused, and for longer than anybody waited
where they are dropped; `finish_timeout` ends that, and loses the rows too (all measured, wandb 0.22.3 to 0.31.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.config.names import OFFLINE, ONLINE

if TYPE_CHECKING:
    from runferry.runs.run_record import WandbSection


INIT_SECONDS = 30
"""For `wandb.init` to reach the server; wandb's own 90 are a node's time spent on a server that is not there."""

FINISH_SECONDS, FINISH_SECONDS_METRICS_ONLY = 900, 30
"""For a run to send the rest when it is finished. Rows that it has not sent by then are on disk, and `runferry sync`
sends them; files that are large are the reason for the longer one."""

CORE_SECONDS = 150.0
"""For wandb-core to end after a command that did not finish its run. Up to 0.27 it writes its last rows to disk when it
has given up on a server that does not answer, after two minutes with the settings below, and not before."""

# `*` does not match a slash. Media lie at media/<kind>/<name>, or deeper where a metric's name has slashes.
_EVERY_FILE = ",".join("/".join("*" * depth) for depth in range(1, 9))


def is_online(mode: str) -> bool:
    """Return whether wandb talks to its server from the job; all but "online" is offline, as the old `dryrun` is."""
    return mode == ONLINE


def variables(wandb: WandbSection) -> dict[str, str]:
    """Return the environment variables that make wandb work as `run.json` says.

    Parameters
    ----------
    wandb
        The section of the run's record.
    """
    if not is_online(wandb.mode):
        return {"WANDB_MODE": OFFLINE}
    reachable = {
        "WANDB_MODE": ONLINE,
        "WANDB_INIT_TIMEOUT": str(INIT_SECONDS),
        # 0.27 asks who the key's owner is before its clock for init starts, and again for a quarter of an hour.
        "WANDB_X_DISABLE_VIEWER": "true",
        "WANDB_X_GRAPHQL_RETRY_MAX": "2",
        "WANDB_X_GRAPHQL_RETRY_WAIT_MIN_SECONDS": "1",
        "WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "4",
        "WANDB_X_GRAPHQL_TIMEOUT_SECONDS": "6",
        # Should the server go away meanwhile. 0.22 does not know the first, and goes on for as long as it tries again.
        "WANDB_FINISH_TIMEOUT": str(FINISH_SECONDS),
        "WANDB_X_FILE_STREAM_RETRY_MAX": "6",
        "WANDB_X_FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "1",
        "WANDB_X_FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "20",
        "WANDB_X_FILE_STREAM_TIMEOUT_SECONDS": "10",
    }
    if not wandb.metrics_only:
        return reachable
    return reachable | {
        "WANDB_FINISH_TIMEOUT": str(FINISH_SECONDS_METRICS_ONLY),
        "WANDB_IGNORE_GLOBS": _EVERY_FILE,
        # Artifacts, also the one that wandb makes of a table, are no files of the run: these are tried, and given up.
        # Not 0 times, which wandb takes for its default of 20.
        "WANDB_X_FILE_TRANSFER_RETRY_MAX": "1",
        "WANDB_X_FILE_TRANSFER_TIMEOUT_SECONDS": "1",
        "WANDB_X_FILE_TRANSFER_RETRY_WAIT_MIN_SECONDS": "0.2",
        "WANDB_X_FILE_TRANSFER_RETRY_WAIT_MAX_SECONDS": "0.2",
    }


def core_seconds(wandb: WandbSection) -> float | None:
    """Return the seconds that wandb-core may take to end after the command; None offline, for the launcher's default.

    `wandb` is that of `variables`.
    """
    return CORE_SECONDS if is_online(wandb.mode) else None
