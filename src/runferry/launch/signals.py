"""Receive the signals meant for a training, such as SIGTERM, and pass each on once."""

from __future__ import annotations

import math
import os
import signal
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from runferry.system.signals import JOB_SIGNALS

if TYPE_CHECKING:
    from types import FrameType, TracebackType


#: Seconds that a signal waits before it is passed on, in which the keeper may report that it got the same.
_WINDOW_SECONDS = 0.25


class StoppedBeforeStartError(BaseException):
    """Raised when a signal stops the launcher before there is a command to pass it on to.

    Not an Exception, like KeyboardInterrupt: the code at work must clean up and may not go on.
    """

    def __init__(self, number: int) -> None:
        self.number = number


class SignalWatch:
    """Collects the job's signals in the main thread, while it is entered.

    A signal raises `StoppedBeforeStartError` until `preparing` is set to False; from then on `read` returns it.
    A signal that the launcher was started with as ignored (`nohup`, a shell's `&`) stays so.
    """

    def __init__(self) -> None:
        self.preparing = True
        self._before: dict[signal.Signals, signal.Handlers | int | object] = {}

    def __enter__(self) -> Self:
        self._receiver, sender = socket.socketpair()
        self._receiver.setblocking(False)
        sender.setblocking(False)
        self._sender = sender
        self._wakeup_before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        # Blocked, it would never tell that the command has ended.
        self._mask_before = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for number in (*JOB_SIGNALS, signal.SIGCHLD):
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN or number is signal.SIGCHLD:
                self._before[number] = before
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # pyright: ignore[reportArgumentType] - what getsignal gave
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask_before)
        signal.set_wakeup_fd(self._wakeup_before)
        self._receiver.close()
        self._sender.close()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.preparing and number != signal.SIGCHLD:
            self.preparing = False
            raise StoppedBeforeStartError(number)

    def fileno(self) -> int:
        """Return the file descriptor that `select` finds readable when a signal came."""
        return self._receiver.fileno()

    def read(self) -> list[int]:
        """Return the numbers of the signals since the last call, in order; SIGCHLD is among them."""
        try:
            return list(self._receiver.recv(4096))
        except BlockingIOError:
            return []


class PassingOn:
    """Passes signals on to a command after `_WINDOW_SECONDS`, unless it was sent to all processes of the job.

    Parameters
    ----------
    twice_seconds
        Within so many seconds the same signal is the same event: Slurm sends it to the launcher of every node, and the
        first node's launcher has it passed on to the others.
    """

    def __init__(self, twice_seconds: float = 0.0) -> None:
        self.done: list[int] = []
        self._twice_seconds = twice_seconds
        self._last: dict[int, float] = {}
        # The time of arrival, and the signal.
        self._waiting: list[tuple[float, int]] = []
        self._sent_to_all: list[tuple[float, int]] = []

    def received(self, number: int) -> None:
        """Record a signal that this process received."""
        now = time.monotonic()
        if now - self._last.get(number, -math.inf) < self._twice_seconds:
            return
        self._last[number] = now
        self._waiting.append((now, number))

    def was_sent_to_all(self, number: int) -> None:
        """Record a signal that was sent to every process of the job."""
        self._sent_to_all.append((time.monotonic(), number))

    def due_in(self) -> float | None:
        """Return the seconds that the next signal still waits; None when none waits."""
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0][0] + _WINDOW_SECONDS - time.monotonic())

    def act(self, command: int) -> None:
        """Send the command, by its process id, the signals that have waited long enough and were not sent to all."""
        now = time.monotonic()
        self._sent_to_all = [(came, number) for came, number in self._sent_to_all if now - came <= _WINDOW_SECONDS]
        for came, number in list(self._waiting):
            twins = [pair for pair in self._sent_to_all if pair[1] == number]
            if twins:
                self._sent_to_all.remove(twins[0])
            elif now >= came + _WINDOW_SECONDS:
                # Not send_signal, which would wait for a process that has ended.
                os.kill(command, number)
            else:
                continue
            self._waiting.remove((came, number))
            self.done.append(number)


class Witness:
    """A process that gets each signal sent to every process of the job, and none that is sent to this process alone.

    The launchers have got such a signal, too: passed on, it would reach them twice (see `Command.run`).
    """

    def __enter__(self) -> Witness:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.setblocking(False)
        parent = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, JOB_SIGNALS)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                os.setsid()
                while os.getppid() == parent:
                    # Blocked, and so waited for, until the job's process has gone.
                    if received := signal.sigtimedwait(JOB_SIGNALS, 1.0):
                        theirs.send(bytes([received.si_signo]))
            finally:
                os._exit(0)
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self

    def __exit__(self, *_: Any) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._channel.close()

    def fileno(self) -> int:
        """Return the file descriptor that `select` finds readable when a signal came."""
        return self._channel.fileno()

    def read(self) -> list[int]:
        """Return the numbers of the signals since the last call."""
        found: list[int] = []
        with suppress(BlockingIOError, ConnectionError):
            while data := self._channel.recv(1):
                found += data
        return found
