"""Why an attempt ended: the words that stand in its record, and which of them are no fault of the training's own."""

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
"""After these the run goes on in another attempt, as far as these are allowed; after the others when somebody asks."""

ENDED = frozenset({FAILED, KILLED, OUT_OF_MEMORY, CANCELLED})
"""For a fault of the training's own, or because somebody wanted it: nobody is expected to go on with the run."""

OWN_FAULT = frozenset({FAILED, KILLED, OUT_OF_MEMORY})
"""After these the run has failed, and has another attempt only when somebody asks."""

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
    """Give the reason that a job's last state names (sacct's word, as `NODE_FAIL`); None where it names none."""
    return _OF_SLURM.get(state or "")
