"""Submit jobs that train: the queue is asked first, the outputs are made room for, the launcher is the job."""

from __future__ import annotations

import math
import os
import shlex
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import (  # pyright: ignore[reportMissingTypeStubs]
    SubmittedJobInfo,
)

from runferry.runs import slurm
from runferry.system.messages import say
from runferry.workflow.training_job import training_of
from snakemake_executor_plugin_runferry import outputs
from snakemake_executor_plugin_runferry.launcher_call import launcher_call, quoted_for_wrap
from snakemake_executor_plugin_runferry.messages import ends_by_itself
from snakemake_executor_plugin_runferry.submissions import Submissions

if TYPE_CHECKING:
    from collections.abc import Generator

    from runferry.workflow.training_job import TrainingJob
    from snakemake_executor_plugin_runferry.plugin_types import PluginExecutor
else:
    from snakemake_executor_plugin_slurm import Executor as PluginExecutor

QUEUE_SECONDS = 120
"""For which the queue that was asked for before a submission is good enough for the next."""
SUBMISSION_PAUSE, SUBMISSION_PATIENCE = 30, 3600
"""Seconds before a submission that Slurm did not answer is tried again, and for how long."""
ENDING_PAUSE = 15
"""Seconds between two looks whether a job of an earlier start, which is ending, has ended."""
_SNAKEMAKES_LIMIT = (100, 1)
"""Jobs and seconds, where nobody says `--max-jobs-per-timespan` (9.17 to 9.27)."""


class SubmittingExecutor(PluginExecutor):
    """Submits jobs: trainings as they need it, others as the plugin does."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        # Before the plugin's own, which starts the thread that looks at the jobs.
        settings = workflow.executor_settings
        self._submissions = Submissions(settings.seconds_between_submissions)
        self._name = threading.local()
        self._run_uuid = ""
        # Job -> what Snakemake knows of it.
        self._active: dict[str, Any] = {}
        self._trainings: dict[Any, TrainingJob] = {}
        self._unanswered_since: dict[int, float] = {}
        self._queue: list[slurm.QueuedJob] | None = None
        self._queue_asked = -math.inf
        # For the plugin, where it is the executor: the training rules name no partition. Here they say so themselves.
        if os.environ.get("SINFO_PARTITION") == slurm.NO_PARTITION:
            del os.environ["SINFO_PARTITION"]
        super().__init__(workflow, logger)

    # Submission.

    @property
    def run_uuid(self) -> str:
        """Name of the job that is being submitted: of a training its own, else the plugin's id of this start."""
        return getattr(self._name, "given", self._run_uuid)

    @run_uuid.setter
    def run_uuid(self, given: str) -> None:
        self._run_uuid = given

    def run_job(self, job: Any) -> None:
        """Submit a job; a training whose job of an earlier start is still in the queue goes on with that."""
        training = self.training(job)
        if training is None:
            super().run_job(job)
            return
        try:
            self._run_training(job, training)
        except (WorkflowError, OSError) as error:
            self._report_error(SubmittedJobInfo(job), str(error))

    def run_array_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs as an array, trainings one by one: of an array the first task's end is taken for that of all."""
        others = [job for job in jobs if self.training(job) is None]
        for job in jobs:
            if job not in others:
                self.run_job(job)
        if others:
            super().run_array_jobs(others)

    def format_job_exec(self, job: Any) -> str:
        """Return the command of a job: the launcher where it trains, else a Snakemake."""
        training = self.training(job)
        if training is None:
            return super().format_job_exec(job)
        wait = float(self.workflow.execution_settings.latency_wait)
        call = launcher_call(job, training.launcher, self.get_python_executable(), wait)
        return call if self.workflow.executor_settings.pass_command_as_script else quoted_for_wrap(call)

    def get_partition_arg(self, job: Any) -> str:
        """Return the option that names the partition: of a training none, unless somebody names one."""
        named = job.resources.get("slurm_partition") or getattr(self, "_partitions", None)
        # At the sites the scheduler chooses it by the time limit; sinfo's default would be too short for many.
        partition = "" if self.training(job) and not named else super().get_partition_arg(job)
        return partition + missing_options(job.resources.get("slurm_request"), job.resources.get("slurm_extra"))

    def training(self, job: Any) -> TrainingJob | None:
        """Return what a job trains, where the launcher alone can be the job."""
        if job in self._trainings:
            return self._trainings[job]
        found = training_of(job)
        if found and outputs.needs_snakemake(job):
            found = None
        if found:
            self._trainings[job] = found
        return found

    def _run_training(self, job: Any, training: TrainingJob) -> None:
        if outputs.trained_meanwhile(job, training):
            say(f"{training.done_file.parent}: has been trained meanwhile, by a job of an earlier start")
            self.report_taken_over(job, f"none-{job.jobid}")
            return
        queue = self.jobs_in_queue(fresh=id(job) in self._unanswered_since or job.attempt > 1)
        if queue is None and self._again_later(job, training, "Slurm does not answer", SUBMISSION_PAUSE):
            # Slurm may have the job, and nobody can say.
            return
        found = self.active_job(queue or [], job)
        if found and found.state == "COMPLETING":
            # It may be about to run again, or to be gone.
            why = f"its job {found.id} of an earlier start is ending"
            if self._again_later(job, training, why, ENDING_PAUSE):
                return
        elif found:
            say(f"{training.done_file.parent}: its job {found.id} of an earlier start is still there, and goes on")
            self.report_taken_over(job, found.id)
            return
        self._submissions.submit(lambda: self._submit(job, training), apart=not self._is_limited())

    def _submit(self, job: Any, training: TrainingJob) -> None:
        outputs.prepare(job)
        # What accounting says of a job that never had a node.
        self._failed_nodes -= {node for node in self._failed_nodes if " " in node}
        settings = self.workflow.executor_settings
        if settings.efficiency_report:
            # Which finds this start's jobs by their name.
            super().run_job(job)
            return
        with self._named("_".join(part for part in (settings.jobname_prefix, training.name) if part)):
            super().run_job(job)

    @contextmanager
    def _named(self, name: str) -> Generator[None]:
        self._name.given = name
        try:
            yield
        finally:
            del self._name.given

    def _is_limited(self) -> bool:
        """Return whether the user gave Snakemake a limit, and so has chosen how fast jobs are submitted."""
        limit = self.workflow.scheduling_settings.max_jobs_per_timespan
        return limit is not None and (limit.max_jobs, limit.timespan) != _SNAKEMAKES_LIMIT

    def jobs_in_queue(self, *, fresh: bool) -> list[slurm.QueuedJob] | None:
        """Ask for the queue; what an earlier start has left there was there when it was asked the first time."""
        if fresh or self._queue is None or time.monotonic() - self._queue_asked > QUEUE_SECONDS:
            self._queue, self._queue_asked = slurm.queued_jobs(), time.monotonic()
        return self._queue

    def active_job(self, queue: list[slurm.QueuedJob], job: Any) -> slurm.QueuedJob | None:
        """Find the job, other than those of this start, that makes what `job` makes: by the plugin's comment."""
        wildcards = "_".join(job.wildcards).replace("/", "_")
        comment, folder = f"rule_{job.name}_wildcards_{wildcards}", str(self.workflow.workdir_init)
        for one in queue:
            if one.active and (one.comment, one.folder) == (comment, folder) and one.id not in self._active:
                return one
        return None

    def _again_later(self, job: Any, training: TrainingJob, why: str, seconds: float) -> bool:
        """Have a job submitted again after a pause; False when that has gone on for too long."""
        first = id(job) not in self._unanswered_since
        since = self._unanswered_since.setdefault(id(job), time.monotonic())
        if time.monotonic() - since > SUBMISSION_PATIENCE:
            return False
        if first:
            say(f"{why}; trying to submit {training.done_file.parent} again, every {seconds} s")
        again = threading.Timer(seconds, self.run_job, (job,))
        again.daemon = True
        again.start()
        return True

    def report_taken_over(self, job: Any, slurm_job: str) -> None:
        """Tell Snakemake that a job is submitted, which it was at an earlier start or by another controller."""
        info = SubmittedJobInfo(job, external_jobid=slurm_job, aux={"slurm_logfile": self._log_of(job, slurm_job)})
        # 2.8.0 submits in threads of its own.
        report = getattr(self, "_report_job_submission_threadsafe", self.report_job_submission)
        report(info)

    def _log_of(self, job: Any, slurm_job: str) -> Path | None:
        """Return where the plugin has Slurm write the log of a job."""
        wildcards = "_".join(job.wildcards).replace("/", "_")
        return Path(self.slurm_logdir) / f"rule_{job.name}" / wildcards / f"{slurm_job}.log"

    def report_job_error(self, job_info: Any, msg: str | None = None, **words: Any) -> None:
        """Report that a job failed; submit a training again later where Slurm only did not answer."""
        training = self.training(job_info.job)
        if training and job_info.external_jobid is None:
            answer = ends_by_itself(str(msg))
            why = f"Slurm answers: {answer}"
            if answer and self._again_later(job_info.job, training, why, SUBMISSION_PAUSE):
                return
            allow_no_retry(job_info.job)
        super().report_job_error(job_info, msg=msg, **words)

    def _report_error(self, info: Any, message: str) -> None:
        # 2.8.0 submits in threads of its own.
        report = getattr(self, "_report_job_error_threadsafe", None)
        if report:
            report(info, message)
        else:
            self.report_job_error(info, msg=message)


def missing_options(request: str | None, extra: str | None) -> str:
    """Return the options of a request that `slurm_extra`, which `--set-resources` may have replaced, does not have.

    >>> missing_options("--gpus-per-node=h100:4 --exclude=n1", "--mail-type=END --exclude=n2")
    ' --gpus-per-node=h100:4'
    """
    there = {word.partition("=")[0] for word in shlex.split(extra or "")}
    wanted = [word for word in shlex.split(request or "") if word.partition("=")[0] not in there]
    return "".join(f" {shlex.quote(word)}" for word in wanted)


def allow_no_retry(job: Any) -> None:
    """Have Snakemake not start a job again, whatever its `retries` say."""
    job.attempt = max(job.attempt, job.restart_times + 1)
