"""Run one attempt of a run on a compute node.

The steps of an attempt: put the environment and the data onto the node, give the command what wandb needs to write its
segments into the run's folder, run it, pass signals on to it, have everything that it logged written, bring back what
it left on the node, and record how it ended.

What is kept of the rows that a process has logged (measured with wandb 0.22.3, 0.27.2 and 0.31.0; alone, each loses
all rows of a short run in the first two cases):

=============================================  =====================================================================
SIGKILL, SIGTERM, a crash of the process       all that had left it: what its own client still held is gone, which is
                                               nothing at a row per millisecond or slower; the exit record says failed
SIGTERM etc. to every process of the job       all, when the command ends before a SIGKILL follows
SIGKILL of the launcher                        all; the command is ended
SIGKILL of everything, loss of the node        0.31: all but the last two seconds (W&B's `in_job.FLUSH_SECONDS`);
                                               before: what fills blocks of 32 KiB, of a short run nothing
=============================================  =====================================================================

Where a run logs to Comet, see `runferry.trackers.comet.hook`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from runferry.errors import AnotherAttemptError, LaunchError, RunferryError
from runferry.launch.execution import Execution, time_limits
from runferry.launch.hints import find_hint
from runferry.launch.listener import heard
from runferry.launch.multi_node import registered
from runferry.launch.node_files import make_folders, note, open_log, scratch_folder, wait_for_file
from runferry.launch.retries import check_retry
from runferry.launch.signals import SignalWatch, StoppedBeforeStartError
from runferry.launch.takeover import starts_elsewhere, take_turn
from runferry.runs import reasons
from runferry.runs.attempt import ATTEMPT_VARIABLE, Attempt, finished_in_this_job, write_trained
from runferry.runs.ending import Ending
from runferry.runs.first_start import ALTERNATIVE_VARIABLE
from runferry.runs.log import end_of_log
from runferry.trackers.registry import in_job_of, logs_to_wandb
from runferry.trackers.wandb.folders import remove_empty, remove_never_begun
from runferry.trackers.wandb.run_ids import forget_single

if TYPE_CHECKING:
    from runferry.launch.core_keeper import TimeLimits
    from runferry.runs.folder import RunFolder
    from runferry.runs.run_record import RunRecord
    from runferry.trackers.tracker import TrackerInJob


def launch(folder: RunFolder, *, follow: bool | None = None, limits: TimeLimits | None = None) -> int:
    """Run the command of a run once. Call it in the main thread of a process that has no other thread.

    Parameters
    ----------
    folder
        Of the run; `run.json` is in it.
    follow
        Whether to show the log while it is written; by default, when stdout is a terminal.
    limits
        The seconds to wait after the command has ended.

    Returns
    -------
    int
        The command's own exit code; 128 + N when signal N ended it; 127 when there is no such program, 126 when it
        cannot be run. 0, and nothing is written, where another of the run's jobs has started it first.

    Raises
    ------
    RunferryError
        When there is nothing to start: the folder is not a run's or cannot be written, the environment cannot be
        unpacked, the working directory is missing.
    """
    wait_for_file(folder.run_file)
    if starts_elsewhere(folder):
        return 0
    run = folder.read_run()
    if not run.command:
        message = f"{folder.run_file}: found no command in it, expected one to run; what was adopted is trained already"
        raise LaunchError(message)
    tracker = in_job_of(run)
    make_folders(*tracker.folders(folder), folder.checkpoints_folder)
    if record := finished_in_this_job(folder):
        # Snakemake has removed the file before it started this.
        write_trained(folder, record)
        return 0
    check_retry([folder])
    follow = sys.stdout.isatty() if follow is None else follow
    with SignalWatch() as signals, heard(), open_log(folder) as log:
        alternative = os.environ.pop(ALTERNATIVE_VARIABLE, None)
        attempt = Attempt.begin(folder, run.command, tracker.segments, alternative)
        begin = os.fstat(log).st_size
        note(log, _header(run, attempt))
        try:
            take_turn(attempt, lambda line: note(log, line))
            with scratch_folder() as scratch:
                launching = Execution(folder, run, tracker, attempt, log, scratch, limits or time_limits(run, tracker))
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
        if ending.outcome == "finished" and logs_to_wandb(run):
            remove_never_begun(folder.wandb_folder / name for name in attempt.segments())
        attempt.end(ending)
        if ending.outcome == "finished":
            remove_empty(folder)
            forget_single(folder.wandb_folder, run.id)
        text = f"run {run.id} {ending}" + (f": {ending.message}" if ending.message else "")
        note(log, text)
        if ending.message or ending.outcome != "finished":
            # A user who followed the log has just seen its end.
            tail = "" if follow or ending.outcome == "finished" else end_of_log(folder.log_file, begin)
            sys.stderr.write(f"runferry: {text.rstrip('.')}. Log: {folder.log_file}\n{tail}")
        return ending.status


def launch_on_node(folder: RunFolder, node: int) -> int:
    """Run the command of a run on one of its several nodes; the run's own launcher writes the attempt.

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
    tracker = in_job_of(run)
    with SignalWatch() as signals:
        try:
            with registered(folder, node), scratch_folder() as scratch:
                attempt = Attempt.of_another_process(folder, int(os.environ[ATTEMPT_VARIABLE]), tracker.segments)
                limits = time_limits(run, tracker)
                launching = Execution(folder, run, tracker, attempt, sys.stdout.fileno(), scratch, limits, node)
                ending, written = launching.run(signals, None)
        except StoppedBeforeStartError as stop:
            ending, written = Ending(None, stop.number, message="stopped before the command was started"), True
    if ending.outcome != "finished" or not written:
        lost = "" if written else "; wandb-core has not written everything, so that rows may be missing"
        note(sys.stdout.fileno(), f"on node {node} run {run.id} {ending}{lost}")
    # What a signal means is the first node's launcher's to say, which has sent it.
    return 0 if ending.exit_code == 0 else ending.status


def _explain(ending: Ending, attempt: Attempt, begin: int, tracker: TrackerInJob, *, written: bool) -> Ending:
    message = ending.message
    if message is None and ending.outcome != "finished":
        message = find_hint(attempt.folder.log_file, begin, ending, attempt.record.wandb)
    elif message is None and not attempt.segments():
        message = f"the command never called {tracker.first_call}, so there is nothing to sync"
    if not written:
        missing = "wandb-core has not written everything, so that rows may be missing"
        message = f"{message}; {missing}" if message else missing
    return replace(ending, message=message)


def _header(run: RunRecord, attempt: Attempt) -> str:
    job = f", job {attempt.record.job}" if attempt.record.job else ""
    # As JSON it is one line whatever is in it.
    command = json.dumps(run.command, ensure_ascii=False)
    where = f"on {attempt.record.host}{job}, {attempt.record.start}"
    return f"attempt {attempt.number} of run {run.id} {where}: {command}"
