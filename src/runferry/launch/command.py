"""Run the command of an attempt: start it, pass signals on, wait for it, end the processes that it leaves behind."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runferry.launch.signals import PassingOn, SignalWatch
from runferry.launch.warning import EndOfJob
from runferry.runs.ending import Ending
from runferry.system.signals import JOB_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runferry.launch.core_keeper import Keeper
    from runferry.launch.watches import Watch, Watches


@dataclass(frozen=True)
class Finished:
    """The result of a command that has ended.

    Attributes
    ----------
    return_code
        Its exit code, or minus the number of the signal that ended it.
    passed_on
        The signals that it was sent before, by the launcher or with all processes of the job.
    session
        Number of its session, in which processes of its may be left.
    forced
        Seconds that it had from its warning until it was ended by force; None where it ended by itself.
    """

    return_code: int
    passed_on: tuple[int, ...]
    session: int
    forced: float | None = None


@dataclass(frozen=True)
class Command:
    """The command of an attempt: its arguments, working directory, variables and log.

    Attributes
    ----------
    arguments
        The program and its arguments, as they will arrive; no shell sees them.
    workdir, environment
        Where, and with which variables.
    log
        File descriptor that its stdout and stderr become, so that what it prints survives the launcher.
    twice_seconds
        See `PassingOn`.
    keep
        Open files that it inherits besides; None is all that are inheritable, as those of Slurm's for a task.
    """

    arguments: list[str]
    workdir: Path
    environment: Mapping[str, str]
    log: int
    twice_seconds: float = 0.0
    keep: tuple[int, ...] | None = ()

    def run(self, signals: SignalWatch, keeper: Keeper, watches: Watches) -> Finished:
        """Run the command in a session of its own and wait for its end.

        Each of `JOB_SIGNALS` that the launcher gets is passed on to the command's own process, and to none of its
        children: a data loader's worker that gets a SIGTERM makes the training fail while it saves its checkpoint.
        It is not passed on when whoever sent it has sent it to all processes of the job, the command among them: a
        second one would interrupt the handler of the first.

        A shell script that the signal ends leaves its children behind; `end_session` sends them a SIGTERM then. One
        whose training is to handle other signals starts it with `exec`.

        Parameters
        ----------
        signals
            Entered; `preparing` is set to False here.
        keeper
            Told of the process, and asked whether a signal was sent to all.
        watches
            The time limit, before which the command is warned and then ended, and the newer attempts, for which it is
            killed.

        Raises
        ------
        OSError
            When it cannot be started: FileNotFoundError when there is no such program, PermissionError when it may
            not be run.
        """
        signals.preparing = False
        # Before it is the command: a launcher that is killed in the moment after could not say any more what is to be
        # ended.
        process = self.start(keeper.watch)
        passing = PassingOn(self.twice_seconds)
        end_of_job = EndOfJob(watches.clock, watches.job_end, watches.note)
        watching: list[Watch] = [passing, end_of_job, *([watches.early] if watches.early else []), watches.fence]
        sources: list[SignalWatch | Keeper] = [signals, keeper]
        # WNOWAIT: the process id stays taken, and may be signalled, until it is waited for below.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            pauses = [watch.due_in() for watch in watching]
            ready = select.select(sources, [], [], min(pause for pause in pauses if pause is not None))[0]
            if signals in ready:
                for number in signals.read():
                    if number != signal.SIGCHLD:
                        passing.received(number)
                        end_of_job.received(number)
            if keeper in ready:
                sent_to_all = keeper.read_signal()
                if sent_to_all is None:
                    sources = [signals]
                    watches.note(
                        "the process that keeps wandb-core has been killed: what is logged from now on is lost"
                    )
                else:
                    passing.was_sent_to_all(sent_to_all)
                    end_of_job.received(sent_to_all)
            for watch in watching:
                watch.act(process.pid)
        end_of_job.settle()
        return Finished(process.wait(), tuple(passing.done), process.pid, end_of_job.forced)

    def start(self, announce: Callable[[int], object] = lambda _: None) -> subprocess.Popen[bytes]:
        """Start the command in a session of its own; `announce` is told its process id, by that process itself.

        Raises
        ------
        OSError
            As `run`.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, JOB_SIGNALS)

        def prepare() -> None:
            announce(os.getpid())
            # A signal that has come since the fork is the command's, and not for the launcher's handlers.
            for number in JOB_SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

        try:
            return subprocess.Popen(
                # Not in the locale's encoding: they arrive as they were written.
                [argument.encode(errors="surrogateescape") for argument in self.arguments],
                cwd=self.workdir,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                start_new_session=True,
                close_fds=self.keep is not None,
                pass_fds=self.keep or (),
                preexec_fn=prepare,  # noqa: PLW1509 - another thread, if there is one, only copies the log
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def not_started(command: list[str], search_path: str, error: OSError | ValueError) -> Ending:
    """Return how a command ended that could not be started, as a shell has it.

    127 is for a program that is not there, 126 for one that cannot be run.
    """
    program = command[0]
    if isinstance(error, FileNotFoundError):
        if shutil.which(program, path=search_path):
            return Ending(127, message=f"{program}: the interpreter that its first line names was not found")
        where = "" if "/" in program else ", neither in the environment nor elsewhere in PATH"
        return Ending(127, message=f"command not found: {program}{where}")
    # A ValueError: an argument has a null byte in it.
    reason = error.strerror if isinstance(error, OSError) else error
    return Ending(126, message=f"{program}: cannot be run: {reason}")
