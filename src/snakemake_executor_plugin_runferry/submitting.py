"""Submit jobs that train: the queue is asked first, the outputs are made room for, the launcher is the job."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import (  # pyright: ignore[reportMissingTypeStubs]
    SubmittedJobInfo,
)

from runferry.errors import RunferryError
from runferry.runs import slurm
from runferry.runs.first_start import claimed_by, current_race, forget_race
from runferry.system.messages import say
from runferry.workflow.search import AGAIN_SECONDS, ask
from runferry.workflow.training_job import alternatives_of, place_of_search, training_of
from snakemake_executor_plugin_runferry import outputs
from snakemake_executor_plugin_runferry.alternative_job import AlternativeJob, real_job
from snakemake_executor_plugin_runferry.launcher_call import launcher_call, quoted_for_wrap
from snakemake_executor_plugin_runferry.messages import ends_by_itself, go_on
from snakemake_executor_plugin_runferry.options import allow_no_retry, missing_options
from snakemake_executor_plugin_runferry.races import Races
from snakemake_executor_plugin_runferry.reporting import ReportingExecutor, is_kept
from snakemake_executor_plugin_runferry.submissions import Submissions

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from runferry.config.job_request import Request
    from runferry.workflow.training_job import TrainingJob

QUEUE_SECONDS = 120
"""For which the queue that was asked for before a submission is good enough for the next."""
SUBMISSION_PAUSE, SUBMISSION_PATIENCE = 30, 3600
"""Seconds before a submission that Slurm did not answer is tried again, and for how long."""
ENDING_PAUSE = 15
"""Seconds between two looks whether a job of an earlier start, which is ending, has ended."""
_SNAKEMAKES_LIMIT = (100, 1)
"""Jobs and seconds, where nobody says `--max-jobs-per-timespan` (9.17 to 9.27)."""


class SubmittingExecutor(ReportingExecutor):
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
        self._races = Races(say)
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

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs; those of one search have their points from one start of its engine."""
        searches: dict[Path, list[Path]] = {}
        for place in filter(None, map(place_of_search, jobs)):
            searches.setdefault(place.parent, []).append(place.resolve())
        for places in searches.values():
            # What is wrong is said for each job.
            with suppress(RunferryError, OSError):
                ask(places[0], say, places[1:])
        super().run_jobs(jobs)

    def run_job(self, job: Any) -> None:
        """Submit a job; a training whose job of an earlier start is still in the queue goes on with that."""
        place = place_of_search(job)
        if place and not self._has_point(job, place):
            return
        training = self.training(job)
        if training is None:
            super().run_job(job)
            return
        try:
            self._run_training(job, training)
        except (WorkflowError, OSError) as error:
            self.report_error(SubmittedJobInfo(job), str(error))

    def _has_point(self, job: Any, place: Path) -> bool:
        """Ask the engine of a search for the point of a place; where there is none to be had now, see to the job."""
        try:
            if ask(place.resolve(), say):
                return True
        except (RunferryError, OSError) as error:
            allow_no_retry(job)
            self.report_error(SubmittedJobInfo(job), str(error))
            return False
        again = threading.Timer(AGAIN_SECONDS, self.run_job, (job,))
        again.daemon = True
        again.start()
        return False

    def run_array_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs as an array, trainings one by one: of an array the first task's end is taken for that of all."""
        others = [job for job in jobs if self.training(job) is None and place_of_search(job) is None]
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
        job = real_job(job)
        if job in self._trainings:
            return self._trainings[job]
        found = training_of(job)
        if found is None or outputs.needs_snakemake(job):
            return None
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
        if self._goes_on_with(job, training, self.active_jobs_of(queue or [], job)):
            return
        if requests := alternatives_of(training):
            self._submit_any(job, training, requests)
            return

        def submit() -> None:
            outputs.prepare(job)
            if len(training.folders) == 1:
                forget_race(training.folders[0])
            self._submit(job, training)

        self._submissions.submit(submit, apart=not self._is_limited())

    def _goes_on_with(self, job: Any, training: TrainingJob, found: list[slurm.QueuedJob]) -> bool:
        """Go on with jobs of an earlier start; return whether there is nothing to submit, now or at all."""
        if not found:
            return False
        # One that is ending may be about to run again, or to be gone.
        going = [one.id for one in found if one.state != "COMPLETING"]
        ending = next((one.id for one in found if one.id not in going), None)
        if going:
            folder = training.folders[0]
            race = current_race(folder) if len(training.folders) == 1 else None
            follow: str | None = going[0]
            if race:
                follow = self._races.adopt(job, folder, race, {one: self._log_of(job, one) for one in going})
            if follow:
                say(f"{training.done_file.parent}: {go_on(going if race else [follow])}")
                self.report_taken_over(job, follow)
                return True
        why = (
            f"its job {ending} of an earlier start is ending" if ending else "jobs that it needs no more are cancelled"
        )
        return self._again_later(job, training, why, ENDING_PAUSE)

    def _submit_any(self, job: Any, training: TrainingJob, requests: Sequence[Request]) -> None:
        """Submit a job for each request, of which the first to start trains the run."""
        folder = training.folders[0]
        outputs.prepare(job)
        race = self._races.begin(job, folder)
        problems: list[str] = []
        for request in requests:
            if claimed_by(folder, race.id):
                return
            one = AlternativeJob(job, requests[0], request, race.id)

            def submit(one: AlternativeJob = one) -> None:
                self._submit(one, training)
                # Snakemake is told of one job.
                if one.submitted and self._races.add(race, one.submitted):
                    one.submitted.job = job
                    self.report_submission(one.submitted)

            self._submissions.submit(submit, apart=not self._is_limited())
            if one.problem:
                problems.append(one.problem)
                say(f"{folder.path}: no job with {one.words} was submitted: {one.problem}")
        if len(problems) == len(requests):
            self.report_error(SubmittedJobInfo(job), problems[0])

    def _submit(self, job: Any, training: TrainingJob) -> None:
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

    def active_jobs_of(self, queue: list[slurm.QueuedJob], job: Any) -> list[slurm.QueuedJob]:
        """Find the jobs, other than those of this start, that make what `job` makes: by the plugin's comment."""
        wildcards = "_".join(job.wildcards).replace("/", "_")
        comment, folder = f"rule_{job.name}_wildcards_{wildcards}", str(self.workflow.workdir_init)
        ours = self._races.jobs.union(self._active)
        return [
            one for one in queue if one.active and (one.comment, one.folder) == (comment, folder) and one.id not in ours
        ]

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
        self.report_submission(
            SubmittedJobInfo(job, external_jobid=slurm_job, aux={"slurm_logfile": self._log_of(job, slurm_job)})
        )

    def _log_of(self, job: Any, slurm_job: str) -> Path | None:
        """Return where the plugin has Slurm write the log of a job."""
        wildcards = "_".join(job.wildcards).replace("/", "_")
        return Path(self.slurm_logdir) / f"rule_{job.name}" / wildcards / f"{slurm_job}.log"

    def report_job_error(self, job_info: Any, msg: str | None = None, **words: Any) -> None:
        """Report that a job failed; submit a training again later where Slurm only did not answer."""
        if is_kept(job_info, msg):
            return
        training = self.training(job_info.job)
        if training and job_info.external_jobid is None:
            answer = ends_by_itself(str(msg))
            why = f"Slurm answers: {answer}"
            if answer and self._again_later(job_info.job, training, why, SUBMISSION_PAUSE):
                return
            allow_no_retry(job_info.job)
        super().report_job_error(job_info, msg=msg, **words)
