"""The Slurm plugin's class with methods that only note what they are asked to do, and a Slurm as told."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from runferry.runs.slurm import QueuedJob
from runferry.system.files import write_json


class FakeSlurm:
    """What squeue and sacct say; None is no answer."""

    def __init__(self) -> None:
        self.queue: list[QueuedJob] | None = []
        self.ended: dict[str, str] | None = {}
        self.asked = 0

    def queued_jobs(self):
        self.asked += 1
        return self.queue

    def ended_jobs(self, jobs):
        return None if self.ended is None else {job: self.ended[job] for job in jobs if job in self.ended}


class Job:
    """Snakemake's job, as far as it is looked at."""

    threads = 4
    benchmark = None
    jobid = 3
    attempt = 1
    restart_times = 2

    def __init__(self, output: str, name: str = "train", wildcards=("a", "run1")) -> None:
        self.name, self.output, self.wildcards, self.log = name, [output], list(wildcards), []
        self.resources: dict = {"mem_mb": 100}
        self.missing: set[str] = set(self.output)
        self.dag = SimpleNamespace(reason=lambda _: SimpleNamespace(missing_output=self.missing))

    def is_group(self) -> bool:
        return False


def fake_plugin(calls: list[tuple], details: list) -> dict:
    """Methods that take the place of the plugin's, and note what they are asked to do."""

    def run_job(self, job) -> None:
        calls.append(("submitted", job.name))
        details.append((self.run_uuid, sorted(self._failed_nodes)))

    def report_job_error(self, info, msg=None, **words) -> None:
        calls.append(("failed", info.external_jobid, info.job.attempt > info.job.restart_times))
        details.append((msg, words.get("aux_logs")))

    def init(self, workflow, _logger) -> None:
        self.workflow, self.wait, self.active_jobs, self.lock = workflow, True, [], threading.Lock()
        self._failed_nodes, self.slurm_logdir = {"c1", "None assigned"}, workflow.workdir_init + "/slurm_logs"
        self.next_seconds_between_status_checks = 40
        self.run_uuid = "id of this start"

    async def check_active_jobs(self, active_jobs):
        for info in active_jobs:
            calls.append(("checked", info.external_jobid))
            yield info

    return {
        "__init__": init,
        "run_job": run_job,
        "format_job_exec": lambda self, job: "a Snakemake",
        "get_python_executable": lambda self: "/venv/bin/python",
        "check_active_jobs": check_active_jobs,
        "cancel_jobs": lambda self, jobs: calls.append(("cancelled", [info.external_jobid for info in jobs])),
        "report_job_error": report_job_error,
        "report_job_success": lambda self, info: calls.append(("done", info.external_jobid)),
        "report_job_submission": lambda self, info: calls.append(("taken over", info.external_jobid)),
        "_report_job_submission_threadsafe": lambda self, info: self.report_job_submission(info),
        "_report_job_error_threadsafe": lambda self, info, msg: self.report_job_error(info, msg),
    }


def queued(world, state: str = "RUNNING", job: str = "7", **changes) -> QueuedJob:
    comment = "rule_train_wildcards_a_run1"
    return QueuedJob(
        **{"id": job, "state": state, "reason": "None", "comment": comment, "folder": str(world.folder), **changes}
    )


def attempt(world, **record) -> None:
    numbers = len(list((world.run / "attempts").glob("*.json"))) + 1
    given = {"attempt": numbers, "job": "7", "host": "elsewhere", "pid": 1, "segments": [], "outcome": "running"}
    write_json(world.run / "attempts" / f"{numbers}.json", given | record)


def info_of(world, job: str | None) -> SubmittedJobInfo:
    return SubmittedJobInfo(
        world.job, external_jobid=job, aux={"slurm_logfile": world.folder / "slurm_logs" / f"{job}.log"}
    )


def look_at(world, *jobs: str) -> list[str]:
    """One look at the jobs; the ids of those that go on."""
    infos = [info_of(world, job) for job in jobs or ("7",)]
    # It is time to.
    world.executor._next_look = 0

    async def look() -> list[str]:
        return [info.external_jobid async for info in world.executor.check_active_jobs(infos)]

    return asyncio.run(look())
