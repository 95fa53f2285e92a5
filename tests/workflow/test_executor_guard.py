"""What stands between Snakemake and its Slurm plugin, with a plugin and a Slurm that do as they are told."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest

from runferry.errors import ConfigError
from runferry.runs import slurm
from runferry.runs.continuation import is_to_continue, should_continue
from runferry.runs.folder import RunFolder
from runferry.runs.slurm import QueuedJob
from runferry.system.files import write_json
from runferry.workflow import executor_guard, slurm_plugin
from runferry.workflow.submissions import Submissions
from runferry.workflow.training_job import training_job


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


class FakePlugin:
    """Notes what it is asked to do, as the plugin's Executor is asked by Snakemake."""

    def __init__(self, folder) -> None:
        self.calls: list[tuple] = []
        self.next_seconds_between_status_checks = None
        self.wait = True
        self.active_jobs: list[SimpleNamespace] = []
        settings = SimpleNamespace(init_seconds_before_status_checks=40)
        # With a limit of the person's own, submissions need not wait for one another here.
        scheduling = SimpleNamespace(max_jobs_per_timespan=SimpleNamespace(max_jobs=20, timespan=1))
        self.workflow = SimpleNamespace(
            executor_settings=settings, scheduling_settings=scheduling, workdir_init=str(folder)
        )

    def run_job(self, job) -> None:
        self.calls.append(("submitted", job.name))

    async def check_active_jobs(self, active_jobs):
        for info in active_jobs:
            self.calls.append(("checked", info.external_jobid))
            yield info

    async def sleep(self) -> None:
        raise AssertionError

    def cancel_jobs(self, active_jobs) -> None:
        self.calls.append(("cancelled", [info.external_jobid for info in active_jobs]))

    def report_job_error(self, info, msg=None) -> None:
        self.calls.append(("failed", info.external_jobid, info.job.attempt > info.job.restart_times))

    def report_job_success(self, info) -> None:
        self.calls.append(("done", info.external_jobid))

    def report_job_submission(self, info) -> None:
        self.calls.append(("taken over", info.external_jobid))


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A run, its job, a Slurm, a plugin that is guarded, and what was said."""
    run = tmp_path / "results" / "a" / "run1"
    write_json(run / "run.json", {"id": "run1"})
    fake = FakeSlurm()
    monkeypatch.setattr(slurm, "queued_jobs", fake.queued_jobs)
    monkeypatch.setattr(slurm, "ended_jobs", fake.ended_jobs)
    plugin = type("Executor", (FakePlugin,), dict(FakePlugin.__dict__))
    monkeypatch.setitem(sys.modules, slurm_plugin.PLUGIN, ModuleType(slurm_plugin.PLUGIN))
    sys.modules[slurm_plugin.PLUGIN].Executor = plugin
    monkeypatch.setattr(executor_guard, "SUBMISSION_PAUSE", 0.05)
    said: list[str] = []
    assert slurm_plugin.install_guard(lambda job: training_job(job.output, {run.parent: 3}), said.append)
    job = SimpleNamespace(
        name="train", output=[str(run / "trained.json")], wildcards=["a", "run1"], attempt=1, restart_times=2
    )
    return SimpleNamespace(run=run, slurm=fake, executor=plugin(tmp_path), job=job, said=said, folder=tmp_path)


def _queued(world, state: str = "RUNNING", job: str = "7", **changes) -> QueuedJob:
    comment = "rule_train_wildcards_a_run1"
    return QueuedJob(
        **{"id": job, "state": state, "reason": "None", "comment": comment, "folder": str(world.folder), **changes}
    )


def _attempt(world, **record) -> None:
    numbers = len(list((world.run / "attempts").glob("*.json"))) + 1
    given = {"attempt": numbers, "job": "7", "host": "elsewhere", "pid": 1, "segments": [], "outcome": "running"}
    write_json(world.run / "attempts" / f"{numbers}.json", given | record)


def _look(world, *jobs: str) -> list[str]:
    """One look at the jobs; the ids of those that go on."""
    infos = [SimpleNamespace(job=world.job, external_jobid=job, aux={}) for job in jobs or ("7",)]

    async def look() -> list[str]:
        return [info.external_jobid async for info in world.executor.check_active_jobs(infos)]

    return asyncio.run(look())


def test_a_job_that_failed_is_reported_with_the_end_of_its_runs_log(world, monkeypatch):
    told: list[str] = []
    monkeypatch.setitem(
        type(world.executor)._runferry_plain, "report_job_error", lambda _self, _info, msg=None: told.append(msg)
    )
    _attempt(world, outcome="failed", reason="failed", message="ValueError: no data")
    (world.run / "train.log").write_text("runferry: attempt 1 of run run1\nepoch 1\nValueError: no data\n")
    world.slurm.queue = [_queued(world, "FAILED")]
    _look(world)
    [line] = told
    assert "SLURM-job '7' ended as FAILED. Run run1: failed: ValueError: no data. " in line
    assert f"The end of {world.run / 'train.log'}:\n    | epoch 1\n    | ValueError: no data\n" in line


def test_a_run_is_submitted_once_and_the_queue_is_asked_once_for_many(world):
    for _ in range(5):
        world.executor.run_job(world.job)
    assert world.executor.calls == [("submitted", "train")] * 5
    assert world.slurm.asked == 1


@pytest.mark.parametrize(("limit", "apart"), [((100, 1), True), ((20, 1), False), ((1, 10), False)])
def test_submissions_keep_a_distance_unless_the_person_gave_snakemake_a_limit(world, monkeypatch, limit, apart):
    asked: list[bool] = []
    monkeypatch.setattr(Submissions, "submit", lambda _self, _submission, *, apart: asked.append(apart))
    given = SimpleNamespace(max_jobs=limit[0], timespan=limit[1])
    world.executor.workflow.scheduling_settings.max_jobs_per_timespan = given
    world.executor.run_job(world.job)
    assert asked == [apart]


def test_after_a_ctrl_c_nothing_is_submitted_and_what_was_a_moment_before_is_cancelled_too(world, monkeypatch):
    monkeypatch.setattr(executor_guard, "CHOICE_SECONDS", 0)
    late = SimpleNamespace(job=world.job, external_jobid="8", aux={})
    world.executor.active_jobs = [late]
    # Snakemake made its list before job 8 was in it.
    world.executor.cancel_jobs([SimpleNamespace(job=world.job, external_jobid="7", aux={})])
    world.executor.run_job(world.job)
    assert world.executor.calls == [("cancelled", ["7", "8"])]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING"])
def test_a_job_of_an_earlier_start_is_taken_over(world, state):
    world.slurm.queue = [_queued(world, state)]
    world.executor.run_job(world.job)
    assert world.executor.calls == [("taken over", "7")]
    assert "its job 7 of an earlier start is still there" in world.said[0]


@pytest.mark.parametrize(
    "other",
    [{"state": "FAILED"}, {"folder": "/elsewhere"}, {"comment": "rule_train_wildcards_a_run2"}],
    ids=["ended", "of another folder", "of another run"],
)
def test_another_job_is_not_taken_over(world, other):
    world.slurm.queue = [_queued(world, **other)]
    world.executor.run_job(world.job)
    assert world.executor.calls == [("submitted", "train")]


def test_nothing_is_submitted_while_slurm_does_not_answer(world):
    world.slurm.queue = None
    world.executor.run_job(world.job)
    assert world.executor.calls == []
    assert "Slurm does not answer" in world.said[0]
    world.slurm.queue = [_queued(world)]
    deadline = time.monotonic() + 10
    while not world.executor.calls and time.monotonic() < deadline:
        time.sleep(0.01)
    # It had the job all the time.
    assert world.executor.calls == [("taken over", "7")]


def test_a_submission_that_slurm_did_not_answer_is_tried_again_and_one_that_it_refused_is_not(world):
    info = SimpleNamespace(job=world.job, external_jobid=None)
    world.executor.report_job_error(info, msg="sbatch: error: Socket timed out on send/recv operation")
    deadline = time.monotonic() + 10
    while not world.executor.calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert world.executor.calls == [("submitted", "train")]
    world.executor.report_job_error(info, msg="sbatch: error: Invalid account")
    assert world.executor.calls[1:] == [("failed", None, True)]


def test_no_answer_is_not_an_end(world):
    world.slurm.queue = None
    assert [_look(world) for _ in range(10)] == [["7"]] * 10
    assert world.executor.calls == []
    # Less and less often.
    assert world.executor.next_seconds_between_status_checks == 140


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL", ""])
def test_what_may_be_requeued_or_not_known_yet_is_looked_at_twice(world, state):
    _attempt(world)
    world.slurm.queue = [_queued(world, state)] if state else []
    assert _look(world) == ["7"]
    world.slurm.queue = [_queued(world, "PENDING")]
    assert _look(world) == ["7"]
    world.slurm.queue = [_queued(world, state)] if state else []
    assert _look(world) == ["7"]
    assert _look(world) == []
    # Not the last: Snakemake starts it again.
    assert world.executor.calls == [("failed", "7", False)]


@pytest.mark.parametrize(
    ("state", "record", "reason", "last"),
    [
        ("FAILED", {"outcome": "failed", "reason": "failed"}, "failed", True),
        ("FAILED", {"outcome": "stopped", "reason": "time limit"}, "time limit", False),
        ("FAILED", {}, "killed", True),
        ("TIMEOUT", {}, "time limit", False),
        ("CANCELLED", {}, "cancelled", True),
        ("CANCELLED", {"outcome": "killed", "reason": "stopped"}, "cancelled", True),
        ("OUT_OF_MEMORY", {"outcome": "killed", "reason": "killed"}, "out of memory", True),
        ("NODE_FAIL", {}, "node failure", False),
    ],
)
def test_the_reason_decides_whether_a_run_goes_on(world, state, record, reason, last):
    _attempt(world, **record)
    world.slurm.queue = [_queued(world, state)]
    while _look(world):
        pass
    assert world.executor.calls == [("failed", "7", last)]
    (file,) = (world.run / "attempts").glob("*.json")
    assert f'"reason": "{reason}"' in file.read_text()


def test_a_run_whose_node_was_lost_before_it_began_goes_on(world):
    world.slurm.queue = [_queued(world, "NODE_FAIL")]
    while _look(world):
        pass
    assert world.executor.calls == [("failed", "7", False)]


@pytest.mark.parametrize("jobs", [2, 3])
def test_a_run_goes_on_in_as_many_jobs_as_are_allowed_and_its_record_says_when_it_is_given_up(world, jobs):
    _attempt(world, outcome="stopped", reason="time limit")
    world.job.attempt = jobs
    world.slurm.queue = [_queued(world, "FAILED")]
    assert _look(world) == []
    assert world.executor.calls == [("failed", "7", jobs == 3)]
    assert ("not finished after 3 jobs, as many as `attempts` allows" in world.said[-1]) == (jobs == 3)
    assert should_continue(RunFolder(world.run)), "should somebody start it again"
    assert is_to_continue(RunFolder(world.run)) == (jobs == 2)


def test_a_run_that_another_controllers_job_is_at_work_on_is_waited_for(world):
    _attempt(world, outcome="failed", reason="not started")
    world.slurm.queue = [_queued(world, "FAILED"), _queued(world, "RUNNING", "8")]
    assert _look(world) == []
    assert world.executor.calls == [("taken over", "8")]


def test_a_trained_run_is_done_whatever_slurm_calls_its_job(world):
    (world.run / "trained.json").write_text("{}")
    world.slurm.queue, world.slurm.ended = [], {"7": "FAILED"}
    assert _look(world) == []
    assert world.executor.calls == [("done", "7")]


@pytest.mark.parametrize(
    ("state", "record", "call"),
    [
        ("OUT_OF_MEMORY", {}, ("done", "7")),
        ("FAILED", {}, ("done", "7")),
        ("CANCELLED", {"outcome": "stopped", "reason": "stopped"}, ("failed", "7", True)),
        ("TIMEOUT", {}, ("failed", "7", False)),
    ],
)
def test_a_run_that_was_killed_has_failed_in_its_round_and_one_that_goes_on_has_not_ended(world, state, record, call):
    place = world.folder / "results" / "a" / "rounds" / "1" / "1.json"
    write_json(place.with_name("runs.json"), [{"id": "run1"}])
    world.job.output = [str(place)]
    _attempt(world, **record)
    world.slurm.queue, world.slurm.ended = [_queued(world, state)], {"7": state}
    while _look(world):
        pass
    assert world.executor.calls == [call]
    assert place.exists() == (call[0] == "done")
    if place.exists():
        assert json.loads(place.read_text()) == {"run": "run1", "finished": False}


def test_the_pause_between_two_looks_ends_with_snakemake(world):
    world.executor.next_seconds_between_status_checks = 600
    world.executor.wait = False
    begin = time.monotonic()
    asyncio.run(world.executor.sleep())
    assert time.monotonic() - begin < 5


def test_jobs_that_do_not_train_are_the_plugins(world):
    world.job.output = ["figure.png"]
    world.executor.run_job(world.job)
    assert _look(world, "9") == ["9"]
    assert world.executor.calls == [("submitted", "train"), ("checked", "9")]
    assert world.slurm.asked == 0


def test_a_plugin_that_is_not_known_is_refused(monkeypatch):
    plugin = ModuleType(slurm_plugin.PLUGIN)
    plugin.Executor = type("Executor", (), {})
    monkeypatch.setitem(sys.modules, slurm_plugin.PLUGIN, plugin)
    with pytest.raises(ConfigError, match="found no run_job, check_active_jobs, cancel_jobs, report_job_error, sleep"):
        slurm_plugin.install_guard(lambda job: None, print)


@pytest.mark.parametrize("keep", [False, True])
def test_slurms_log_of_a_job_that_has_trained_goes_with_its_folder_unless_it_is_to_be_kept(world, keep):
    world.executor.workflow.executor_settings.keep_successful_logs = keep
    log = world.folder / "slurm_logs" / "a_run1" / "7.log"
    log.parent.mkdir(parents=True)
    log.touch()
    write_json(world.run / "trained.json", {})
    world.slurm.queue = [_queued(world, "COMPLETED")]
    info = SimpleNamespace(job=world.job, external_jobid="7", aux={"slurm_logfile": log})

    async def look() -> list[str]:
        return [info.external_jobid async for info in world.executor.check_active_jobs([info])]

    assert asyncio.run(look()) == []
    assert world.executor.calls == [("done", "7")]
    assert log.exists() == log.parent.exists() == keep
