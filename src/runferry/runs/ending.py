"""Describe how an attempt's command ended."""

from __future__ import annotations

import signal
from dataclasses import dataclass

#: sysexits.h has it for "try again later": the run is not finished, though its command ended with exit code 0.
EXIT_STOPPED = 75

#: Outcomes of an attempt that has not ended.
UNDER_WAY = ("waiting", "taking over", "running")


@dataclass(frozen=True)
class Ending:
    """The end of a command: its exit code or signal, and the reason.

    Attributes
    ----------
    exit_code
        Its exit code, or None when it did not end by itself.
    signal
        The signal that ended it, or None.
    passed_on
        The signals that it was sent before it ended, in order.
    message
        One line for the user, or None.
    reason
        Why it ended, where that is no matter of how it ended: one of `runferry.runs.reasons`; else None.
    pruned
        Whether its sweep ended it early, and wants no more of it.
    """

    exit_code: int | None
    signal: int | None = None
    passed_on: tuple[int, ...] = ()
    message: str | None = None
    reason: str | None = None
    pruned: bool = False

    @classmethod
    def from_return_code(cls, return_code: int, passed_on: tuple[int, ...] = ()) -> Ending:
        """Return the ending for a return code of `subprocess`, where a negative number is a signal."""
        if return_code < 0:
            return cls(None, -return_code, passed_on)
        return cls(return_code, None, passed_on)

    @property
    def outcome(self) -> str:
        """Return the outcome in one word.

        "finished" (exit code 0), "stopped" (exit code 0 after it was asked to stop: there is more to do), "killed" (by
        a signal, or failed after it was sent one) or "failed".
        """
        if self.exit_code == 0:
            return "stopped" if self.reason else "finished"
        return "killed" if self.signal is not None or self.passed_on else "failed"

    @property
    def status(self) -> int:
        """Return the exit code as a shell has it: 128 + N for signal N; `EXIT_STOPPED` for a stopped command."""
        if self.outcome == "stopped":
            return EXIT_STOPPED
        if self.signal is not None:
            return 128 + self.signal
        return 1 if self.exit_code is None else self.exit_code

    def __str__(self) -> str:
        """Describe it as it stands in a sentence after the run's name."""
        if self.signal is not None:
            return f"was killed by {signal_name(self.signal)}"
        if self.exit_code is None:
            return "could not be started"
        if self.exit_code:
            return f"failed with exit code {self.exit_code}"
        return "finished" if self.reason is None else "stopped"


def signal_name(number: int) -> str:
    """Return the name of a signal: SIGTERM for 15; "signal 64" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
