"""The executor: the Slurm plugin's, and for jobs that train what the plugin leaves out.

Left alone, the plugin (2.5.3 to 2.8.0) puts two Snakemakes between Slurm and the training, which hears no signal then;
it submits a run a second time while its job from an earlier start is still there, waits for ever for a job that was
preempted, and takes an outage of Slurm for the end of every job; and Snakemake's `retries` would run again what failed
by itself. Here a job that trains is the launcher; before a submission the queue is asked for the run's job; while jobs
are active their runs' own files are looked at often and Slurm seldom, and no answer is not an end; when a job has
ended, its attempts' records decide whether the run goes on.

Jobs that do not train are the plugin's in everything.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runferry.runs import reasons
from runferry.runs.continuation import give_up, settle, should_continue
from runferry.system.messages import say
from runferry.system.text import count_of
from snakemake_executor_plugin_runferry import outputs
from snakemake_executor_plugin_runferry.early_receipts import EarlyReceipts, wanted_receipts
from snakemake_executor_plugin_runferry.messages import has_begun, last_words
from snakemake_executor_plugin_runferry.options import allow_no_retry
from snakemake_executor_plugin_runferry.progress import Progress
from snakemake_executor_plugin_runferry.races import log_of
from snakemake_executor_plugin_runferry.run_files import FAILED, LOOKS_PER_SECOND, TRAINED, RunFiles
from snakemake_executor_plugin_runferry.states import JobStates
from snakemake_executor_plugin_runferry.submitting import SubmittingExecutor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from runferry.workflow.training_job import TrainingJob

CHOICE_SECONDS = 10
"""After a first Ctrl-C, in which a second one leaves the jobs running."""
LONGEST_PAUSE = 180
"""Seconds between two looks at the queue, when nothing changes: the plugin's own limit."""
REASON_SECONDS = 5
"""After a run has said that it is over, in which its job ends and Slurm comes to know why."""


class Executor(SubmittingExecutor):
    """Runs jobs on Slurm: `executor: runferry`."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        # Before the plugin's own, which starts the thread that looks at the jobs.
        self._states, self._files = JobStates(), RunFiles()
        settings = workflow.executor_settings
        self._first_pause = float(settings.init_seconds_before_status_checks)
        self._progress = Progress(kind.name for kind in workflow.output_settings.quiet or ())
        self._receipts = EarlyReceipts(settings.seconds_before_early_receipts, self._progress.tell)
        # Runs whose job has ended, and which no other follows.
        self._failed: set[Path] = set()
        self._pause = 0.0
        # When Slurm is asked again for the jobs that train, and when the plugin looks at the others.
        self._next_look = self._next_plugins_look = -math.inf
        super().__init__(workflow, logger)

    # While jobs are active.

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncGenerator[Any]:
        """Report what has ended and yield what goes on."""
        ours = [info for info in active_jobs if self.training(info.job)]
        theirs = [info for info in active_jobs if not self.training(info.job)]
        await asyncio.to_thread(self._races.look_at_all, ours)
        self._active = {info.external_jobid: info for info in ours}
        async for info in self._check_others(theirs):
            yield info
        states: dict[str, str] | None = None
        if (asked := time.monotonic() >= self._next_look) and ours:
            jobs = [job for info in ours for job in self._races.jobs_of(info)]
            states = await asyncio.to_thread(self._states.ask, jobs)
        changed = False
        ended = {job for job, state in (states or {}).items() if self._states.has_ended(job, state)}
        for info in ours:
            self._races.note_ended(info, ended)
            job, training = info.external_jobid, self.training(info.job)
            assert training is not None
            state = states.get(job) if states else None
            if not training.explained and (state is None or job not in ended):
                yield info
                continue
            changed = True
            await asyncio.to_thread(self._conclude, info, training, state)
            self._active.pop(job, None)
        if asked:
            longer = max(self._pause, self._first_pause) + 10
            self._pause = self._first_pause if changed or not ours else min(longer, LONGEST_PAUSE)
            self._next_look = time.monotonic() + self._pause

    async def _check_others(self, infos: list[Any]) -> AsyncGenerator[Any]:
        """Have the plugin look at the jobs that are its own, as often as it wants to."""
        if not infos:
            return
        if time.monotonic() < self._next_plugins_look:
            for info in infos:
                yield info
            return
        async for info in super().check_active_jobs(infos):
            yield info
        self._next_plugins_look = time.monotonic() + float(self.next_seconds_between_status_checks or self._first_pause)

    async def sleep(self) -> None:
        """Wait for the next look at the jobs; no longer than until a run has said itself that it is over."""
        every = float(self.workflow.executor_settings.seconds_between_looks_at_runs)
        next_files = time.monotonic() + every
        while self.wait:
            with self.lock:
                infos = list(self.active_jobs)
            others = any(self.training(info.job) is None for info in infos)
            now = time.monotonic()
            end = min(self._next_look, self._next_plugins_look) if others else self._next_look
            if now >= end:
                return
            if now >= next_files:
                if await asyncio.to_thread(self._look_at_files, infos):
                    return
                runs = sum(len(training.folders) for info in infos if (training := self.training(info.job)))
                next_files = time.monotonic() + max(every, runs / LOOKS_PER_SECOND)
            # In pieces: at its end, also after a Ctrl-C, Snakemake waits for this.
            await asyncio.sleep(min(1.0, max(0.05, min(end, next_files) - time.monotonic())))

    def _look_at_files(self, infos: list[Any]) -> bool:
        """Return whether a run is done; where one has ended without, Slurm is asked for the reason soon."""
        done = False
        for info in infos:
            training = self.training(info.job)
            if training is None:
                continue
            self._races.look(info)
            over = self._files.look(info.external_jobid, training)
            if training.explained:
                done = True
            elif over:
                self._next_look = min(self._next_look, time.monotonic() + REASON_SECONDS)
        self._sync_early(infos)
        self._show_progress(infos)
        return done

    def _sync_early(self, infos: list[Any]) -> None:
        """Have runs synced that have finished in a pack whose other runs still train."""
        finished = [
            folder
            for info in infos
            if (training := self.training(info.job)) and len(training.folders) > 1 and not training.done
            for folder in training.folders
            if self._files.state(folder, info.external_jobid) == TRAINED
        ]
        self._receipts.look(finished, lambda: wanted_receipts(self.workflow.dag))

    def _show_progress(self, infos: list[Any]) -> None:
        """Say how many runs are queued, running and done, where it is time to."""
        if not self._progress.is_due:
            return
        active = {info.job: info.external_jobid for info in infos}
        trainings = list(self._trainings.items())
        states = {
            folder.path: FAILED if folder.path in self._failed else self._files.state(folder, active.get(job))
            for job, training in trainings
            for folder in training.folders
        }
        self._progress.show(Counter(states.values()), {folder.parent.parent for folder in states})

    def _conclude(self, info: Any, training: TrainingJob, state: str | None) -> None:
        """Report the end of a job; `state` is Slurm's last word, None where a run was done before Slurm was asked."""
        others = self._races.end(info)
        if state is not None:
            for folder in training.folders:
                settle(folder, {info.external_jobid: state})
            training.note_end()
        self._files.look(info.external_jobid, training)
        if training.done:
            outputs.write_benchmark(info.job, training)
            self.report_job_success(info)
            self._remove_logs([*others, log_of(info)])
            return
        if found := self.active_jobs_of(self.jobs_in_queue(fresh=True) or [], info.job):
            # It left the run to the job of another controller.
            say(f"{training.done_file.parent}: job {found[0].id} is at work on it, and is waited for")
            self.report_taken_over(info.job, found[0].id)
            return
        if not self._goes_on(training, info, state or ""):
            allow_no_retry(info.job)
            self._failed |= {folder.path for folder in training.folders if not folder.has_finished}
        log = log_of(info)
        logs = [str(log)] if log and Path(log).exists() else []
        words = last_words(training, info.external_jobid, state or "", log)
        self.report_job_error(info, msg=words, aux_logs=logs)

    def _goes_on(self, training: TrainingJob, info: Any, state: str) -> bool:
        """Decide whether what a job leaves undone is for another job, and say so."""
        job = info.job
        lost = (reasons.of_state(state) if state else reasons.LOST) in reasons.CONTINUED
        left = [
            folder
            for folder in training.folders
            if should_continue(folder) or (lost and not has_begun(folder, info.external_jobid))
        ]
        names = ", ".join(folder.path.name for folder in left)
        if not left:
            return False
        if job.attempt >= training.attempts:
            for folder in left:
                # Who shows the run while it trains need not wait for the end of the workflow.
                give_up(folder)
            say(f"{names}: not finished after {count_of(job.attempt, 'job')}, as many as `attempts` allows")
            return False
        say(f"{names}: goes on in another job ({job.attempt + 1} of {training.attempts} at most)")
        return True

    def _remove_logs(self, logs: list[Path | None]) -> None:
        """Remove Slurm's logs of the jobs of a trained run, and their folder, as the plugin does unless told not to."""
        if self.workflow.executor_settings.keep_successful_logs:
            return
        for log in filter(None, logs):
            # What is there besides, of a job that failed before, keeps the folder.
            with suppress(OSError):
                log.unlink(missing_ok=True)
                log.parent.rmdir()

    # The end.

    def cancel_jobs(self, active_jobs: list[Any]) -> None:
        """Cancel the jobs, after a pause in which a second Ctrl-C leaves them running."""
        self._submissions.end()
        # One may have been submitted since Snakemake made its list; and while the queue is asked, that is empty.
        known = {info.external_jobid: info for info in (*active_jobs, *self.active_jobs) if info.external_jobid}
        known |= self._active | self._races.active()
        trainings = {job: self.training(info.job) for job, info in known.items()}
        if not any(trainings.values()):
            super().cancel_jobs(active_jobs)
            return
        known = {job: info for job, info in known.items() if not ((training := trainings[job]) and training.done)}
        count = f"{len(known)} job{'s' if len(known) > 1 else ''}"
        say(f"about to cancel {count} in {CHOICE_SECONDS} s; Ctrl-C again leaves them running")
        try:
            time.sleep(CHOICE_SECONDS)
        except KeyboardInterrupt:
            say(f"left {count} running; the same command goes on with them")
            return
        super().cancel_jobs(list(known.values()))
