"""Runs one attempt of a run, on the node that computes.

The way of an attempt: put the environment and the data onto the node, give the command what wandb needs to write its
segments into the run's folder, run it, pass signals on to it, have everything that it logged written, bring back what
it left on the node, and say how it ended.

What is kept of the rows that a process has logged (measured with wandb 0.22.3, 0.27.2 and 0.31.0; alone, each loses
all rows of a short run in the first two cases):

=============================================  =====================================================================
SIGKILL, SIGTERM, a crash of the process       all that had left it: what its own client still held is gone, which is
                                               nothing at a row per millisecond or slower; the exit record says failed
SIGTERM etc. to every process of the job       all, when the command ends before a SIGKILL follows
SIGKILL of the launcher                        all; the command is ended
SIGKILL of everything, loss of the node        0.31: all but the last two seconds (`wandb_tracker.FLUSH_SECONDS`);
                                               before: what fills blocks of 32 KiB, of a short run nothing
=============================================  =====================================================================

Where a run logs to Comet, see `runferry.comet.in_job`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry import reasons
from runferry.attempt import ATTEMPT_VARIABLE, Attempt, Ending, finished_in_this_job, write_trained
from runferry.attempt_files import Scratch, make_folders, note, open_log, scratch_folder, shown
from runferry.collect import collect
from runferry.command import Command, SignalWatch, StoppedBeforeStartError, Watches
from runferry.errors import AnotherAttemptError, LaunchError, RunferryError
from runferry.fence import FenceWatch, take_turn
from runferry.hints import end_of_log, find_hint
from runferry.keeper import Keeper, TimeLimits
from runferry.leftovers import remove_empty
from runferry.misplaced import bring_in
from runferry.modules import variables_after_loading
from runferry.nodes import node_folder, registered
from runferry.preparation import Prepared, prepare
from runferry.processes import end_session
from runferry.time_limit import JobClock, job_end, warning_of
from runferry.tracker import tracker_of

if TYPE_CHECKING:
    from runferry.early_stop import EarlyStop
    from runferry.run_folder import RunFolder
    from runferry.tracker import Tracker

#: Seconds in which what the command leaves behind may end by itself.
_LEFTOVER_SECONDS = 1.0


def launch(folder: RunFolder, *, follow: bool | None = None, limits: TimeLimits | None = None) -> int:
    """Run the command of a run once. Call it in the main thread of a process that has no other thread.

    Parameters
    ----------
    folder
        Of the run; `run.json` is in it.
    follow
        Whether to show the log while it is written; by default, when stdout is a terminal.
    limits
        How long to wait for what.

    Returns
    -------
    int
        The command's own exit code; 128 + N when signal N ended it; 127 when there is no such program, 126 when it
        cannot be run.

    Raises
    ------
    RunferryError
        When there is nothing to start: the folder is not a run's or cannot be written, the environment cannot be
        unpacked, the working directory is missing.
    """
    run = folder.read_run()
    tracker = tracker_of(run)
    make_folders(*tracker.folders(folder), folder.checkpoints_folder)
    if record := finished_in_this_job(folder):
        # Snakemake has removed the file before it started this.
        write_trained(folder, record)
        return 0
    follow = sys.stdout.isatty() if follow is None else follow
    with SignalWatch() as signals, open_log(folder) as log:
        attempt = Attempt.begin(folder, run["command"], tracker.segments)
        begin = os.fstat(log).st_size
        note(log, _header(run, attempt))
        try:
            take_turn(attempt, lambda line: note(log, line))
            with scratch_folder() as scratch:
                launching = _Launching(folder, run, tracker, attempt, log, scratch, limits or _limits(run, tracker))
                ending, written = launching.run(signals, begin if follow else None)
        except StoppedBeforeStartError as stop:
            message = "stopped before the command was started"
            ending, written = Ending(None, stop.number, message=message, reason=reasons.STOPPED), True
        except RunferryError as error:
            reason = reasons.NOT_STARTED if isinstance(error, AnotherAttemptError) else None
            attempt.end(Ending(None, message=str(error), reason=reason))
            note(log, str(error))
            raise
        ending = _explain(ending, attempt, begin, tracker, written=written)
        attempt.end(ending)
        if ending.outcome == "finished":
            remove_empty(folder)
        text = f"run {run['id']} {ending}" + (f": {ending.message}" if ending.message else "")
        note(log, text)
        if ending.message or ending.outcome != "finished":
            # A person who followed the log has just seen its end.
            tail = "" if follow or ending.outcome == "finished" else end_of_log(folder.log_file, begin)
            sys.stderr.write(f"runferry: {text.rstrip('.')}. Log: {folder.log_file}\n{tail}")
        return ending.status


def launch_on_node(folder: RunFolder, node: int) -> int:
    """Run the command of a run on one of its several nodes, as `launch` does, for a launcher that writes the attempt.

    Parameters
    ----------
    folder
        Of the run.
    node
        Its number, from 0.

    Returns
    -------
    int
        As `launch`; what is printed goes to stdout.

    Raises
    ------
    RunferryError
        As `launch`.
    """
    run = folder.read_run()
    tracker = tracker_of(run)
    with SignalWatch() as signals:
        try:
            with registered(folder, node), scratch_folder() as scratch:
                attempt = Attempt.of_another_process(folder, int(os.environ[ATTEMPT_VARIABLE]), tracker.segments)
                limits = _limits(run, tracker)
                launching = _Launching(folder, run, tracker, attempt, sys.stdout.fileno(), scratch, limits, node)
                ending, written = launching.run(signals, None)
        except StoppedBeforeStartError as stop:
            ending, written = Ending(None, stop.number, message="stopped before the command was started"), True
    if ending.outcome != "finished" or not written:
        lost = "" if written else "; wandb-core has not written everything, so that rows may be missing"
        note(sys.stdout.fileno(), f"on node {node} run {run['id']} {ending}{lost}")
    # What a signal means is the first node's launcher's to say, which has sent it.
    return 0 if ending.exit_code == 0 else ending.status


def _limits(run: dict[str, Any], tracker: Tracker) -> TimeLimits:
    seconds = tracker.finish_seconds(run)
    return TimeLimits() if seconds is None else TimeLimits(finish_seconds=seconds)


@dataclass
class _Launching:
    """From the unpacking to the end of wandb-core."""

    folder: RunFolder
    run_record: dict[str, Any]
    tracker: Tracker
    attempt: Attempt
    log: int
    scratch: Scratch
    limits: TimeLimits
    node: int | None = None
    """Number of the node, from 0, where this is the part of one of several."""

    def run(self, signals: SignalWatch, follow_from: int | None) -> tuple[Ending, bool]:
        """Return how the command ended, and whether all that it logged was written."""
        workdir = Path(self.run_record["workdir"])
        if not workdir.is_dir():
            message = f"{workdir}: found no such folder, expected the experiment's workdir, where the command is to run"
            raise LaunchError(message)
        prepared: Prepared | None = None
        if self.node is None and self.run_record.get("nodes", 1) > 1:
            # It starts this same on every node, there with the run's command.
            command = [sys.executable, "-m", "runferry", "launch-nodes", str(self.folder.path)]
            environment, core = {**os.environ, ATTEMPT_VARIABLE: str(self.attempt.number)}, None
        else:
            prepared = self._prepare()
            command, environment = prepared.command, prepared.variables
            # In a container wandb starts its own wandb-core: the one out here is not of its version.
            core = None if prepared.contained else self.tracker.core(command, environment.get("PATH", os.defpath))
            self.attempt.runs_in(prepared.environment, core.version if core else None)
        # From here on there is a command to pass a signal on to, or will be in a moment.
        signals.preparing = False
        keeper = Keeper.start(
            core,
            environment,
            self.log,
            limits=self.limits,
            launcher_died=self._launcher_died,
            first_free_step=self.attempt.first_free_step,
            workdir=workdir,
        )
        if keeper.warning:
            note(self.log, keeper.warning)
        if keeper.token:
            environment["WANDB_SERVICE"] = keeper.token
        watches = self._watches()
        exit_code = 1
        try:
            with shown(self.folder.log_file, follow_from):
                try:
                    finished = Command(command, workdir, environment, self.log).run(signals, keeper, watches)
                except (OSError, ValueError) as error:
                    ending = _not_started(command, environment.get("PATH", os.defpath), error)
                else:
                    end_session(finished.session, _LEFTOVER_SECONDS, self.limits.grace_seconds)
                    ending = Ending.from_return_code(finished.return_code, finished.passed_on)
                    ending = replace(ending, reason=_reason(ending, watches))
                    if watches.early and watches.early.stopped and not watches.fence.superseded:
                        # It has done what the sweep wants of it; its checkpoint and its rows are there.
                        ending = Ending(0, message=watches.early.stopped)
            exit_code = ending.status
        finally:
            written = self._finish(keeper, exit_code, watches)
        # The rows first: before a time limit there may not be the time for all.
        if prepared and prepared.data and not watches.fence.superseded:
            ending = self._collect(prepared.data, ending)
        return ending, written

    def _watches(self) -> Watches:
        clock = JobClock(warning_of(self.run_record), job_end())
        # The warning comes from the first node's launcher, as a signal; what is left to each is the end by force.
        clock.warned = self.node is not None
        early: EarlyStop | None = None
        if self.node is None and "early_terminate" in self.run_record:
            # Only here: other runs need neither it nor protobuf.
            from runferry.early_stop import EarlyStop

            early = EarlyStop(self.folder, self.run_record["early_terminate"])
        return Watches(clock, FenceWatch(self.attempt), job_end, lambda line: note(self.log, line), early)

    def _finish(self, keeper: Keeper, exit_code: int, watches: Watches) -> bool:
        if watches.fence.superseded:
            # The run is another attempt's: what this one has not written stays unwritten.
            keeper.abandon()
            return True
        seconds = self.limits.finish_seconds
        if watches.clock.warned:
            seconds = max(1.0, min(seconds, watches.clock.seconds_left - 1))
        written = keeper.finish(exit_code, seconds)
        self._bring_in()
        return written

    def _bring_in(self) -> None:
        # Of several nodes nobody could say whose segment lies in the folder that they share.
        if self.run_record.get("nodes", 1) == 1:
            workdir, run = Path(self.run_record["workdir"]), self.run_record["id"]
            bring_in(self.folder, workdir, run, lambda line: note(self.log, line))

    def _prepare(self) -> Prepared:
        """Put the environment and the data onto the node."""
        if self.attempt.number > 1:
            # Of an attempt whose launcher was killed, before anybody asks at which step the run goes on.
            self._bring_in()
            self.attempt.counts_as_earlier()
        return prepare(
            self.run_record, self.folder.path, self._variables(), self.scratch.folder, lambda text: note(self.log, text)
        )

    def _variables(self) -> dict[str, str]:
        """Give the command what it inherits, what it must know of its run, and what the tracker wants of both."""
        run, path = self.run_record, self.folder.path.absolute()
        modules = [*run.get("modules", ()), *self.tracker.modules(run)]
        inherited = variables_after_loading(list(dict.fromkeys(modules)), "modules")
        inherited.pop("PYTHONHOME", None)
        # What the first node's tracker writes is the run; what another's does is kept beside it.
        place = node_folder(self.folder, self.node).resolve() if self.node else path
        return {
            **self.tracker.job_variables(self.folder, run, self.attempt.number, place, inherited),
            "PYTHONUNBUFFERED": "1",  # so that what was printed before a kill is in the log
            "RUNFERRY_CHECKPOINTS": str(path / self.folder.checkpoints_folder.name),
            "RUNFERRY_RUN": run["id"],
            "RUNFERRY_RUN_FOLDER": str(path),
            ATTEMPT_VARIABLE: str(self.attempt.number),
        }

    def _collect(self, data: Path, ending: Ending) -> Ending:
        """Bring back what the command left on the node, whatever its ending; then remove the run's own folder there."""
        patterns = self.run_record.get("collect", ())
        # Each node beside its other files: two nodes may write files of the same name.
        target = node_folder(self.folder, self.node) / "collected" if self.node else self.folder.collected_folder
        problems = collect(patterns, data, target, lambda text: note(self.log, text))
        if not problems:
            shutil.rmtree(data, ignore_errors=True)
            return ending
        message = f"not collected: {problems[0]}" + (f" and {len(problems) - 1} more" if len(problems) > 1 else "")
        if ending.outcome == "finished":
            # What is not brought back is lost with the node, so the run is not done.
            ending = replace(ending, exit_code=1)
        return replace(ending, message=f"{ending.message}; {message}" if ending.message else message)

    def _launcher_died(self) -> None:
        self.attempt.end(Ending(None, 9, message="the launcher was killed (SIGKILL), and the command was ended"))
        if self.scratch.temporary:
            shutil.rmtree(self.scratch.folder, ignore_errors=True)


def _reason(ending: Ending, watches: Watches) -> str | None:
    """Say why the command ended, where that is not plain from how it ended."""
    if watches.fence.superseded:
        return reasons.SUPERSEDED
    if watches.clock.warned:
        # Also with exit code 0: who was told to save and end has more to do.
        return reasons.TIME_LIMIT
    asked = {signal.SIGTERM, signal.SIGINT}.intersection(ending.passed_on)
    return reasons.STOPPED if asked or ending.signal in {signal.SIGTERM, signal.SIGINT} else None


def _not_started(command: list[str], search_path: str, error: OSError | ValueError) -> Ending:
    """As a shell has it: 127 for a program that is not there, 126 for one that cannot be run."""
    program = command[0]
    if isinstance(error, FileNotFoundError):
        if shutil.which(program, path=search_path):
            return Ending(127, message=f"{program}: the interpreter that its first line names was not found")
        where = "" if "/" in program else ", neither in the environment nor elsewhere in PATH"
        return Ending(127, message=f"command not found: {program}{where}")
    # A ValueError: an argument has a null byte in it.
    reason = error.strerror if isinstance(error, OSError) else error
    return Ending(126, message=f"{program}: cannot be run: {reason}")


def _explain(ending: Ending, attempt: Attempt, begin: int, tracker: Tracker, *, written: bool) -> Ending:
    message = ending.message
    if message is None and ending.outcome != "finished":
        message = find_hint(attempt.folder.log_file, begin, ending, attempt.record["wandb"])
    elif message is None and not attempt.segments():
        message = f"the command never called {tracker.first_call}, so there is nothing to sync"
    if not written:
        missing = "wandb-core has not written everything, so that rows may be missing"
        message = f"{message}; {missing}" if message else missing
    return replace(ending, message=message)


def _header(run: dict[str, Any], attempt: Attempt) -> str:
    job = f", job {attempt.record['job']}" if attempt.record["job"] else ""
    # As JSON it is one line whatever is in it.
    command = json.dumps(run["command"], ensure_ascii=False)
    where = f"on {attempt.record['host']}{job}, {attempt.record['start']}"
    return f"attempt {attempt.number} of run {run['id']} {where}: {command}"
