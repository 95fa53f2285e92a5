"""Guard the jobs that train, between Snakemake's scheduler and its Slurm plugin.

Left alone, the plugin (2.5.3 to 2.8.0) submits a run a second time while its job from an earlier start is still there,
waits for ever for a job that was preempted, and takes an outage of Slurm for the end of every job; and Snakemake's
`retries` would run again what failed by itself.
So for these jobs, and for no others, the plugin's methods are wrapped: before a submission the queue is asked for the
run's job, and the submission keeps its distance from the one before; while jobs are active Slurm is asked what becomes
of them, and an answer that cannot be had is not an end; when one has ended, its attempts' records decide whether it is
run again.

The only module that knows the plugin's inside; a plugin without the methods that are wrapped is refused.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runferry.runs import slurm
from runferry.runs.continuation import give_up, settle, should_continue
from runferry.runs.log import end_of_log
from runferry.runs.reasons import CONTINUED, LOST, of_state
from runferry.workflow.snakemake_objects import allow_no_retry, limited, remove_log, report_submission
from runferry.workflow.submissions import Submissions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from runferry.runs.folder import RunFolder
    from runferry.workflow.training_job import TrainingJob


CHOICE_SECONDS = 10
"""After a first Ctrl-C, in which a second one leaves the jobs running."""


LONGEST_PAUSE = 180
"""Seconds between two looks at the queue, when nothing changes: the plugin's own limit."""


QUEUE_SECONDS = 120
"""For which the queue that was asked for before a submission is good enough for the next."""


SUBMISSION_PAUSE, SUBMISSION_PATIENCE = 30, 3600
"""Seconds before a submission that Slurm did not answer is tried again, and for how long."""


_LOGS_SHOWN = 4
"""Of a pack whose runs failed, whose ends are repeated."""


# What sbatch says when the scheduler is away or overloaded (slurm_errno.c); after the second the job may be there.
_NO_ANSWER = ("Unable to contact slurm controller", "Socket timed out", "Connection refused", "Connection timed out")


# The next look shows the job as pending again where Slurm has requeued it.
# And a job that was submitted a moment ago may not be known yet.
_LOOK_AGAIN = frozenset({"PREEMPTED", "NODE_FAIL", "BOOT_FAIL", ""})


@dataclass
class Guard:
    """Wraps the methods of the Slurm plugin's executor for the jobs that train.

    Attributes
    ----------
    find
        Returns the training of one of Snakemake's jobs; None for a job that does not train.
    say
        Takes a line for the user.
    """

    find: Callable[[Any], TrainingJob | None]
    say: Callable[[str], None]
    _submissions: Submissions = field(default_factory=Submissions)
    _pause: float = 0.0
    # Job -> its state at the look before.
    _seen: dict[str, str] = field(default_factory=dict[str, str])
    _active: dict[str, Any] = field(default_factory=dict[str, Any])
    _unanswered_since: dict[int, float] = field(default_factory=dict[int, float])
    _queue: list[slurm.QueuedJob] | None = None
    _queue_asked: float = -math.inf

    # Submission.

    def run_job(self, submit: Callable[[Any], None], executor: Any, job: Any) -> None:
        """Submit a job, or follow the run's job of an earlier start where that is still in the queue."""
        training = self.find(job)
        if training is None:
            submit(job)
            return
        queue = self._jobs_in_queue(fresh=id(job) in self._unanswered_since or job.attempt > 1)
        if queue is None and self._again_later(executor, job, training):
            # Slurm may have the job, and nobody can say.
            return
        found = self._active_job(queue or [], executor, job)
        if found:
            self.say(f"{training.done_file.parent}: its job {found} of an earlier start is still there, and goes on")
            report_submission(executor, job, found)
            return
        self._submissions.submit(lambda: submit(job), apart=not limited(executor))

    def _jobs_in_queue(self, *, fresh: bool) -> list[slurm.QueuedJob] | None:
        """Ask for the queue; what an earlier start has left there was there when it was asked the first time."""
        if fresh or self._queue is None or time.monotonic() - self._queue_asked > QUEUE_SECONDS:
            self._queue, self._queue_asked = slurm.queued_jobs(), time.monotonic()
        return self._queue

    def _active_job(self, queue: list[slurm.QueuedJob], executor: Any, job: Any) -> str | None:
        """Find the job, other than those of this start, that makes what `job` makes: by the plugin's comment."""
        wildcards = "_".join(job.wildcards).replace("/", "_")
        comment, folder = f"rule_{job.name}_wildcards_{wildcards}", str(executor.workflow.workdir_init)
        for one in queue:
            if one.active and (one.comment, one.folder) == (comment, folder) and one.id not in self._active:
                return one.id
        return None

    def _again_later(self, executor: Any, job: Any, training: TrainingJob) -> bool:
        """Have a job submitted again after a pause; False when that has gone on for too long."""
        since = self._unanswered_since.setdefault(id(job), time.monotonic())
        if time.monotonic() - since > SUBMISSION_PATIENCE:
            return False
        self.say(f"Slurm does not answer; trying to submit {training.done_file.parent} again in {SUBMISSION_PAUSE} s")
        again = threading.Timer(SUBMISSION_PAUSE, executor.run_job, (job,))
        again.daemon = True
        again.start()
        return True

    def report_error(self, report: Callable[..., None], executor: Any, info: Any, **words: Any) -> None:
        """Report that a job failed; where Slurm only did not answer the submission, submit again later instead."""
        training = self.find(info.job)
        if training and info.external_jobid is None:
            no_answer = any(part in str(words.get("msg", "")) for part in _NO_ANSWER)
            if no_answer and self._again_later(executor, info.job, training):
                return
            allow_no_retry(info.job)
        report(info, **words)

    # While jobs are active.

    async def check(
        self, others: Callable[[list[Any]], AsyncGenerator[Any]], executor: Any, infos: Sequence[Any]
    ) -> AsyncGenerator[Any]:
        """Report jobs that have ended and yield the others, as `check_active_jobs` of the plugin does."""
        ours = [info for info in infos if self.find(info.job)]
        theirs = [info for info in infos if not self.find(info.job)]
        self._active = {info.external_jobid: info for info in ours}
        first_pause = float(getattr(executor.workflow.executor_settings, "init_seconds_before_status_checks", 40))
        pauses: list[float] = []
        if theirs or not ours:
            async for info in others(theirs):
                yield info
            pauses.append(float(executor.next_seconds_between_status_checks or first_pause))
        if ours:
            states = await asyncio.to_thread(self._states, [info.external_jobid for info in ours])
            changed = False
            for info in ours:
                if states is None or not self._has_ended(info.external_jobid, states[info.external_jobid]):
                    yield info
                    continue
                changed = True
                await asyncio.to_thread(self._conclude, executor, info, states[info.external_jobid])
                self._active.pop(info.external_jobid, None)
            self._pause = first_pause if changed else min(max(self._pause, first_pause) + 10, LONGEST_PAUSE)
            pauses.append(self._pause)
        executor.next_seconds_between_status_checks = min(pauses)

    def _states(self, jobs: list[str]) -> dict[str, str] | None:
        """Ask Slurm for the states of jobs; one that it does not know is "", None means that it does not answer."""
        queued = slurm.queued_jobs()
        if queued is None:
            return None
        states = {job.id: job.state for job in queued}
        ended = [job for job in jobs if states.get(job) not in slurm.ACTIVE]
        accounted = slurm.ended_jobs(ended) or {}
        # The queue's word first: accounting may be behind. But it alone knows that a step ran out of memory.
        for job in ended:
            if job not in states or accounted.get(job) == "OUT_OF_MEMORY":
                states[job] = accounted.get(job, "")
        return {job: states.get(job, "") for job in jobs}

    def _has_ended(self, job: str, state: str) -> bool:
        """Return whether a job has ended; where it may only seem so, whether two looks in a row say the same."""
        before, self._seen[job] = self._seen.get(job), state
        if state in slurm.ACTIVE:
            return False
        return before == state or state not in _LOOK_AGAIN

    def _conclude(self, executor: Any, info: Any, state: str) -> None:
        training = self.find(info.job)
        assert training is not None
        for folder in training.folders:
            settle(folder, {info.external_jobid: state})
        training.note_end()
        if training.done:
            executor.report_job_success(info)
            remove_log(executor, info)
            return
        found = self._active_job(self._jobs_in_queue(fresh=True) or [], executor, info.job)
        if found:
            # It left the run to the job of another controller.
            self.say(f"{training.done_file.parent}: job {found} is at work on it, and is waited for")
            report_submission(executor, info.job, found)
            return
        if not self._goes_on(training, info, state):
            allow_no_retry(info.job)
        words = f"SLURM-job '{info.external_jobid}' ended as {state or 'one that Slurm no longer knows'}. "
        executor.report_job_error(info, msg=f"{words}{_last_words(training)}")

    def _goes_on(self, training: TrainingJob, info: Any, state: str) -> bool:
        job = info.job
        lost = (of_state(state) if state else LOST) in CONTINUED
        left = [
            folder
            for folder in training.folders
            if should_continue(folder) or (lost and not _has_begun(folder, info.external_jobid))
        ]
        names = [folder.path.name for folder in left]
        if not names:
            return False
        if job.attempt >= training.attempts:
            for folder in left:
                # Live sync, which shows the run while it trains, need not wait for the end of the workflow.
                give_up(folder)
            self.say(f"{', '.join(names)}: not finished after {job.attempt} jobs, as many as `attempts` allows")
            return False
        self.say(f"{', '.join(names)}: goes on in another job ({job.attempt + 1} of {training.attempts} at most)")
        return True

    # The end.

    def cancel(self, cancel: Callable[[list[Any]], None], executor: Any, infos: Sequence[Any]) -> None:
        """Cancel the jobs, after a pause in which a second Ctrl-C leaves them running."""
        self._submissions.end()
        # One may have been submitted since Snakemake made its list; and while the queue is asked, that is empty.
        known = {info.external_jobid: info for info in (*infos, *executor.active_jobs) if info.external_jobid}
        known |= self._active
        if not known:
            cancel(list(infos))
            return
        count = f"{len(known)} job{'s' if len(known) > 1 else ''}"
        self.say(f"about to cancel {count} in {CHOICE_SECONDS} s; Ctrl-C again leaves them running")
        try:
            time.sleep(CHOICE_SECONDS)
        except KeyboardInterrupt:
            self.say(f"left {count} running; the same command goes on with them")
            return
        cancel(list(known.values()))


def _has_begun(folder: RunFolder, job: str) -> bool:
    """Return whether a run has had an attempt in a job."""
    return any(record.get("job") == job for record in folder.attempts())


def _last_words(training: TrainingJob) -> str:
    """Describe how the last attempts ended, for the message about the job."""
    said: list[str] = []
    logs = 0
    for folder in training.folders:
        attempts = folder.attempts()
        if attempts and not (folder.trained_file.exists() or folder.finished_file.exists()):
            last = attempts[-1]
            message = f": {last['message']}" if last.get("message") else ""
            said.append(f"Run {folder.path.name}: {last.get('reason') or last.get('outcome')}{message}. ")
            if logs < _LOGS_SHOWN and (lines := end_of_log(folder.log_file)):
                logs += 1
                said.append(f"The end of {folder.log_file}:\n{lines}")
    return "".join(said) if said else "It never began to train. "
