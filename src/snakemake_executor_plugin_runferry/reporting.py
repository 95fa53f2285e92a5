"""Report jobs to Snakemake, from whichever thread; one of several for a run is kept for who submits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snakemake_executor_plugin_runferry.alternative_job import AlternativeJob

if TYPE_CHECKING:
    from snakemake_executor_plugin_runferry.plugin_types import PluginExecutor
else:
    from snakemake_executor_plugin_slurm import Executor as PluginExecutor


def is_kept(info: Any, problem: str | None = None) -> bool:
    """Keep what the plugin reports of one of several jobs; return False for a job of Snakemake's, which is to be told.

    Parameters
    ----------
    info
        What the plugin knows of the job.
    problem
        Why it was not submitted; None where it was.
    """
    if not isinstance(info.job, AlternativeJob):
        return False
    if info.external_jobid is None:
        info.job.problem = " ".join(str(problem).split())
    else:
        info.job.submitted = info
    return True


class ReportingExecutor(PluginExecutor):
    """Reports jobs to Snakemake."""

    def report_job_submission(self, job_info: Any) -> None:
        """Report that a job was submitted; one of several for a run is kept for who submits them."""
        if not is_kept(job_info):
            super().report_job_submission(job_info)

    def _report_job_submission_threadsafe(self, job_info: Any) -> None:
        # 2.8.0 submits in threads of its own, and reports in another; one of several is not reported.
        if not is_kept(job_info):
            super()._report_job_submission_threadsafe(job_info)

    def _report_job_error_threadsafe(self, job_info: Any, msg: str) -> None:
        if not is_kept(job_info, msg):
            super()._report_job_error_threadsafe(job_info, msg)

    def report_submission(self, info: Any) -> None:
        """Tell Snakemake that a job was submitted, from whichever thread."""
        report = getattr(super(), "_report_job_submission_threadsafe", self.report_job_submission)
        report(info)

    def report_error(self, info: Any, message: str) -> None:
        """Tell Snakemake that a job has failed, from whichever thread."""
        report = getattr(super(), "_report_job_error_threadsafe", None)
        if report:
            report(info, message)
        else:
            self.report_job_error(info, msg=message)
