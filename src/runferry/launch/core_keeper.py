"""Own wandb-core in a helper process, so that a killed training loses no rows.

The helper outlives the training, and the launcher too if need be. It holds the wandb-core processes that the training
logs to, so that they are neither children of the training nor reached by the signals meant for it, and has them write
what they hold when the training is over. If the launcher is killed, it ends the training and does the same.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.errors import LaunchError
from runferry.system.processes import end_session
from runferry.system.signals import JOB_SIGNALS, shield
from runferry.system.temporary_folders import remove_abandoned
from runferry.system.values import batches
from runferry.trackers.wandb.job_runs import Logged
from runferry.trackers.wandb.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runferry.trackers.wandb.core import InstalledCore
    from runferry.trackers.wandb.job_runs import JobRuns

_RUNS_PER_MESSAGE = 50


@dataclass(frozen=True)
class TimeLimits:
    """The seconds that a launcher waits for other processes and for wandb-core after the command has ended.

    Attributes
    ----------
    grace_seconds
        For processes that the command leaves behind, between SIGTERM and SIGKILL.
    finish_seconds
        For wandb-core to write what it holds after the command has ended.
    """

    grace_seconds: float = 10.0
    finish_seconds: float = 30.0


class Keeper:
    """A helper process that owns wandb-core, as the launcher sees it.

    Attributes
    ----------
    token
        What WANDB_SERVICE must be for the command; None where no wandb-core was found, or it cannot be started.
    python
        The folder with which PYTHONPATH must begin for the command; None where there is none.
    warning
        Why it has to, or another line for the user; else None.
    logged
        What the W&B runs of the attempt logged, and what of it is not on the disk, once it has finished.
    died
        Whether it was killed, its wandb-cores with it, before it had finished.
    """

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self._pid = pid
        self._channel = channel
        died = {"token": None, "python": None, "warning": "the process that keeps wandb-core has died"}
        answer = _receive(channel) or died
        self.logged = Logged()
        self.died = False
        self.token: str | None = answer["token"]
        self.python: str | None = answer["python"]
        self.warning: str | None = answer["warning"]

    @classmethod
    def start(  # noqa: PLR0913 - each is a keyword at its call
        cls,
        installed: InstalledCore | None,
        environment: Mapping[str, str],
        log: int,
        *,
        limits: TimeLimits,
        launcher_died: Callable[[Logged], None],
        runs: Callable[[], JobRuns] | None = None,
        workdir: Path | None = None,
    ) -> Keeper:
        """Fork the helper process and wait until its first wandb-core can be reached. There must be one thread only.

        Parameters
        ----------
        installed
            The training environment's wandb-core; None where none was found, which the command's wandb may still name.
        environment
            The variables for wandb-core.
        log
            The file descriptor of train.log.
        limits
            The seconds to wait when the launcher has died.
        launcher_died
            Called in the keeper, last, in that case, with what was logged.
        runs
            Called in the keeper: returns what follows the attempt's W&B runs. None where there are none, or none that
            can be reached.
        workdir
            Where the command runs.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # So that no handler of the launcher's runs in the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, JOB_SIGNALS)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                _leave_the_launcher(log)
                logged = _keep(
                    theirs,
                    installed,
                    environment,
                    log,
                    limits=limits,
                    runs=runs,
                    workdir=workdir,
                )
                launcher_died(logged)
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return cls(pid, ours)

    def fileno(self) -> int:
        """Return the file descriptor that `select` finds readable when `read_signal` has a signal."""
        return self._channel.fileno()

    def read_signal(self) -> int | None:
        """Read the number of a signal that reached the keeper; None when the keeper has died.

        A signal reaches the keeper only when it is sent to every process of the job.
        """
        received = _receive(self._channel)
        return None if received is None else received["signal"]

    def watch(self, pid: int) -> None:
        """Send the keeper the command's process id, a session leader, which it ends if the launcher is killed.

        May be called between fork and exec, in the process itself.
        """
        _send(self._channel, {"command": pid})

    def finish(self, exit_code: int, seconds: float) -> bool:
        """Make every wandb-core write what it holds and end; return whether all did so within `seconds`.

        A run that its process left open gets `exit_code`.
        """
        _send(self._channel, {"finish": exit_code, "seconds": seconds})
        # The keeper answers in time, unless it cannot: then it is killed, and its wandb-cores end with it.
        self._channel.settimeout(seconds + 5)
        try:
            received = _receive(self._channel)
            while received is not None and "finished" not in received:
                self.logged.rows.update(received.get("rows", {}))
                self.logged.missing.extend(received.get("missing", []))
                received = _receive(self._channel)
        except TimeoutError:
            os.kill(self._pid, signal.SIGKILL)
            received = None
        self._channel.close()
        os.waitpid(self._pid, 0)
        # One that died at the start has left wandb to start its own.
        self.died = received is None and self.python is not None
        return received is not None and received["finished"]


def _leave_the_launcher(log: int) -> None:
    """Undo what a fork inherits and the keeper must not have: the terminal, the pipes, the session, the handlers."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for standard, replacement in ((0, nothing), (1, log), (2, log)):
        os.dup2(replacement, standard)


def _keep(  # noqa: PLR0913 - what `Keeper.start` was given
    channel: socket.socket,
    installed: InstalledCore | None,
    environment: Mapping[str, str],
    log: int,
    *,
    limits: TimeLimits,
    runs: Callable[[], JobRuns] | None,
    workdir: Path | None,
) -> Logged:
    """Do the keeper's work; return what was logged when the launcher has died, else end the process."""
    service: Service | None = None
    followed: JobRuns | None = None
    # Before any thread or wandb-core is started, which all inherit it.
    shielded = shield()
    warning: str | None = None
    if runs:
        if installed and not shielded:
            warning = "wandb-core cannot be shielded on this machine from a signal to all processes of the job"
        try:
            followed = runs()
            service = Service(installed, environment, log, limits.finish_seconds, followed, workdir=workdir)
        except (LaunchError, OSError) as error:
            warning = f"{error}; if the command is killed, rows that wandb has not written by then are lost"
    threading.Thread(target=_report_signals, args=(channel,), daemon=True).start()
    token, python = (service.token, str(service.python)) if service else (None, None)
    _send(channel, {"token": token, "python": python, "warning": warning})
    # What a job left here that was killed; the command does not wait for it.
    threading.Thread(target=remove_abandoned, daemon=True).start()
    command: int | None = None
    while (asked := _receive(channel)) is not None:
        if "finish" in asked:
            finished, logged = _finish(service, followed, asked["finish"], asked["seconds"])
            _tell(channel, logged)
            _send(channel, {"finished": finished})
            os._exit(0)
        command = asked["command"]
        if service:
            service.command = command
    if command is not None:
        end_session(command, 0.0, limits.grace_seconds)
    return _finish(service, followed, 128 + signal.SIGKILL, limits.finish_seconds)[1]


def _finish(service: Service | None, followed: JobRuns | None, exit_code: int, seconds: float) -> tuple[bool, Logged]:
    if service is None or followed is None:
        return True, Logged()
    end = time.monotonic() + seconds
    finished = service.finish(exit_code, seconds)
    return finished, followed.close(written=finished, seconds=max(1.0, end - time.monotonic()))


def _tell(channel: socket.socket, logged: Logged) -> None:
    """Send what was logged in messages that a socket takes: a job may have thousands of W&B runs."""
    for rows in batches(logged.rows.items(), _RUNS_PER_MESSAGE):
        _send(channel, {"rows": dict(rows)})
    for missing in batches(logged.missing, _RUNS_PER_MESSAGE):
        _send(channel, {"missing": missing})


def _report_signals(channel: socket.socket) -> None:
    # Blocked since the fork, and ignored since shield(): a blocked signal waits here all the same.
    while True:
        _send(channel, {"signal": signal.sigwaitinfo(JOB_SIGNALS).si_signo})


def _send(channel: socket.socket, value: dict[str, Any]) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        channel.send(json.dumps(value).encode())


def _receive(channel: socket.socket) -> dict[str, Any] | None:
    try:
        data = channel.recv(1 << 16)
    except ConnectionResetError:
        return None
    return json.loads(data) if data else None
