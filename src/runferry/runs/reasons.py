"""Name the reasons why an attempt ended, as its record has them, and those that are not the training's fault."""

from __future__ import annotations

TIME_LIMIT = "time limit"
PREEMPTED = "preempted"
REQUEUED = "requeued"
NODE_FAILURE = "node failure"
LOST = "lost"
"""The attempt ended without a word and nobody knows why: the machine went down, or everything got SIGKILL."""
OUT_OF_MEMORY = "out of memory"
CANCELLED = "cancelled"
STOPPED = "stopped"
"""The command was sent a SIGTERM or SIGINT and ended; who sent it is not known."""
KILLED = "killed"
FAILED = "failed"
SUPERSEDED = "superseded"
"""A newer attempt is at work on the run: this one was believed lost, and ended its command when it saw that."""
NOT_STARTED = "not started"
"""Another attempt is at work on the run, or there was nothing to start."""

CONTINUED = frozenset({TIME_LIMIT, PREEMPTED, REQUEUED, NODE_FAILURE, LOST})
"""Reasons after which another attempt follows, as far as `attempts` allows; after the others only if a user asks."""

ENDED = frozenset({FAILED, KILLED, OUT_OF_MEMORY, CANCELLED})
"""Reasons after which nobody is expected to continue the run: the training's own fault, or a user's wish."""

OWN_FAULT = frozenset({FAILED, KILLED, OUT_OF_MEMORY})
"""Reasons after which the run has failed, and has another attempt only when a user asks for it."""

PROBABLY_OUT_OF_MEMORY = (
    "most likely it ran out of memory: ask for more (resources.memory in config.yaml), or see in the job's accounting "
    "who ended it"
)
"""Message of an attempt whose command was killed and that does not know by whom."""
FOUND_OUT_OF_MEMORY = "Slurm ended it, out of memory: ask for more (resources.memory in config.yaml)"
"""The same, once Slurm has said so."""

_OF_SLURM = {
    "TIMEOUT": TIME_LIMIT,
    "DEADLINE": TIME_LIMIT,
    "PREEMPTED": PREEMPTED,
    "REQUEUED": REQUEUED,
    "NODE_FAIL": NODE_FAILURE,
    "BOOT_FAIL": NODE_FAILURE,
    "OUT_OF_MEMORY": OUT_OF_MEMORY,
    "CANCELLED": CANCELLED,
}


def of_state(state: str | None) -> str | None:
    """Return the reason for a job's last state (sacct's word, as `NODE_FAIL`); None where it stands for none."""
    return _OF_SLURM.get(state or "")
