"""The executor on a plugin that does nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as slurm_plugin

from runferry.runs import slurm
from runferry.system.files import write_json
from runferry.workflow import training_job
from snakemake_executor_plugin_runferry import submitting
from snakemake_executor_plugin_runferry.executor import Executor
from support.fake_plugin import FakeSlurm, Job, fake_plugin


@pytest.fixture
def world(tmp_path, monkeypatch, capsys):
    """A run, its job, a Slurm, and the executor on a plugin that does nothing."""
    run = tmp_path / "results" / "a" / "run1"
    write_json(run / "run.json", {"id": "run1"})
    fake = FakeSlurm()
    monkeypatch.setattr(slurm, "queued_jobs", fake.queued_jobs)
    monkeypatch.setattr(slurm, "ended_jobs", fake.ended_jobs)
    calls: list[tuple] = []
    details: list = []
    for name, method in fake_plugin(calls, details).items():
        monkeypatch.setattr(slurm_plugin.Executor, name, method, raising=False)
    monkeypatch.setattr(submitting, "SUBMISSION_PAUSE", 0.05)
    monkeypatch.setattr(submitting, "ENDING_PAUSE", 0.05)
    monkeypatch.setattr(training_job, "_attempts", {})
    training_job.register_experiments({run.parent: 3})
    settings = SimpleNamespace(
        init_seconds_before_status_checks=40,
        seconds_between_looks_at_runs=0,
        seconds_between_submissions=1,
        seconds_before_early_receipts=0,
        keep_successful_logs=False,
        efficiency_report=False,
        jobname_prefix="",
        pass_command_as_script=False,
    )
    # With a limit of the user's own, submissions need not wait for one another here.
    scheduling = SimpleNamespace(max_jobs_per_timespan=SimpleNamespace(max_jobs=20, timespan=1))
    workflow = SimpleNamespace(
        executor_settings=settings,
        scheduling_settings=scheduling,
        output_settings=SimpleNamespace(quiet=None),
        workdir_init=str(tmp_path),
        execution_settings=SimpleNamespace(latency_wait=60),
    )
    made = Executor(workflow, None)
    return SimpleNamespace(
        run=run,
        slurm=fake,
        executor=made,
        job=Job(str(run / "trained.json")),
        calls=calls,
        details=details,
        said=lambda: capsys.readouterr().err,
        folder=tmp_path,
        settings=settings,
    )
