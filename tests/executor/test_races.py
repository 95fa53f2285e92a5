"""Several jobs for a run: the first to start is followed, the others are cancelled, whatever happens between."""

from __future__ import annotations

import asyncio
import json
import shlex

import pytest
import snakemake_executor_plugin_slurm as slurm_plugin
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from runferry.config.job_request import Request
from runferry.runs import first_start, slurm
from runferry.runs.folder import RunFolder
from runferry.system.files import write_json
from runferry.workflow import training_job
from snakemake_executor_plugin_runferry import executor
from support.fake_plugin import queued

BASE = {"mem_mb": 100, "runtime": 60, "gpu": 1, "gpu_model": "a100", "slurm_extra": "--exclude=n1"}
SMALL = {"mem_mb": 50, "runtime": 60, "gpu": 1, "gpu_model": "a100_3g.20gb", "slurm_extra": "--exclude=n2"}
PAID = {**BASE, "slurm_account": "rrg-x_gpu"}


def _request(words: str, resources: dict, *others: Request, cores: int = 4) -> Request:
    return Request(cores, None, 60, None, 1, resources=resources, words=words, alternatives=tuple(others))


@pytest.fixture
def race(world, monkeypatch):
    """Three requests for the run, and a plugin that submits jobs 11, 12, ... and reports them."""
    small = _request("gpu: a100_3g.20gb", SMALL, cores=2)
    first = _request("gpu: a100", BASE, small, _request("account: rrg-x", PAID))
    monkeypatch.setattr(training_job, "_requests", {})
    training_job.register_alternatives({world.run.parent: first})
    world.job.resources = {**BASE, "tmpdir": "/tmp"}
    world.submitted, world.refused, world.cancelled, world.reported = [], {}, [], []
    world.between = lambda: None

    def run_job(self, job) -> None:
        number = str(11 + len(world.submitted))
        world.submitted.append(job)
        refusal = world.refused.get(number)
        info = SubmittedJobInfo(
            job, external_jobid=None if refusal else number, aux={"slurm_logfile": _log(world, number)}
        )
        if refusal:
            self._report_job_error_threadsafe(info, refusal)
        else:
            self._report_job_submission_threadsafe(info)
        world.between()

    def ask(*command: str):
        assert command[0] == "scancel"
        world.cancelled += command[1:]
        return world.answer

    world.answer = []
    monkeypatch.setattr(slurm_plugin.Executor, "run_job", run_job)
    monkeypatch.setattr(slurm_plugin.Executor, "report_job_submission", lambda _, info: world.reported.append(info))
    monkeypatch.setattr(slurm, "ask", ask)
    return world


def _log(world, job: str):
    return world.folder / "slurm_logs" / f"{job}.log"


def _claim(world, job: str) -> None:
    folder = RunFolder(world.run)
    assert first_start.claim(folder, first_start.current_race(folder) or "", job)


def _look(world) -> list[str]:
    """One look at the jobs and at Slurm, as Snakemake has it."""
    world.executor._next_look = 0

    async def look() -> list[SubmittedJobInfo]:
        return [info async for info in world.executor.check_active_jobs(list(world.reported))]

    world.reported = asyncio.run(look())
    return [info.external_jobid for info in world.reported]


def _ends(world, job: str, outcome: str, **record) -> None:
    given = {"attempt": 1, "job": job, "host": "elsewhere", "pid": 1, "segments": [], "outcome": outcome}
    write_json(world.run / "attempts" / "1.json", given | record)


def test_a_job_is_submitted_for_each_request_and_snakemake_is_told_of_one(race):
    race.executor.run_job(race.job)
    assert [(job.resources["gpu_model"], job.resources["mem_mb"], job.threads) for job in race.submitted] == [
        ("a100", 100, 4),
        ("a100_3g.20gb", 50, 2),
        ("a100", 100, 4),
    ]
    assert [job.resources.get("slurm_account") for job in race.submitted] == [None, None, "rrg-x_gpu"]
    assert {job.resources.tmpdir for job in race.submitted} == {"/tmp"}
    assert [(info.job, info.external_jobid) for info in race.reported] == [(race.job, "11")]
    words = [shlex.split(race.executor.format_job_exec(job)) for job in race.submitted]
    said = ["gpu: a100", "gpu: a100_3g.20gb", "account: rrg-x"]
    assert [f"RUNFERRY_ALTERNATIVE={one}" in call for one, call in zip(said, words, strict=True)] == [True] * 3
    assert len({next(word for word in call if word.startswith("RUNFERRY_RACE=")) for call in words}) == 1


def test_what_set_resources_says_is_kept_and_what_the_request_needs_too(race):
    race.job.resources |= {"slurm_extra": "--mail-type=END", "slurm_request": BASE["slurm_extra"]}
    race.executor.run_job(race.job)
    assert [(job.resources["slurm_extra"], job.resources["slurm_request"]) for job in race.submitted][:2] == [
        ("--mail-type=END", "--exclude=n1"),
        ("--mail-type=END", "--exclude=n2"),
    ]


def test_the_job_that_starts_is_followed_and_the_others_are_cancelled(race):
    race.executor.run_job(race.job)
    race.slurm.queue = [queued(race, "PENDING", job) for job in ("11", "12", "13")]
    assert _look(race) == ["11"]
    assert race.cancelled == []
    _claim(race, "12")
    assert _look(race) == ["12"]
    assert sorted(race.cancelled) == ["11", "13"]
    assert race.reported[0].aux == {"slurm_logfile": _log(race, "12")}
    for job in ("11", "12", "13"):
        _log(race, job).parent.mkdir(exist_ok=True)
        _log(race, job).touch()
    _ends(race, "12", "finished")
    (race.run / "trained.json").touch()
    assert _look(race) == []
    assert ("done", "12") in race.calls
    assert not _log(race, "11").parent.exists()
    assert len(race.cancelled) == 2


def test_a_job_that_starts_while_others_are_submitted_keeps_them_away(race):
    race.between = lambda: race.submitted[1:] or _claim(race, "11")
    race.executor.run_job(race.job)
    assert len(race.submitted) == 1
    assert race.cancelled == []


def test_a_job_that_is_submitted_when_another_has_just_started_is_cancelled(race):
    race.executor.run_job(race.job)
    made = race.executor._races._races[race.job]
    _claim(race, "11")
    race.executor._races.add(made, SubmittedJobInfo(race.job, external_jobid="14", aux={}))
    assert race.cancelled == ["14"]


def test_a_job_that_is_submitted_when_the_end_of_the_run_has_been_reported_is_cancelled(race):
    race.executor.run_job(race.job)
    made = race.executor._races._races[race.job]
    race.slurm.queue = [queued(race, "CANCELLED", job) for job in ("11", "12", "13")]
    assert _look(race) == []
    race.executor._races.add(made, SubmittedJobInfo(race.job, external_jobid="14", aux={}))
    assert race.cancelled == ["14"]


def test_a_request_that_is_refused_leaves_the_others(race):
    race.refused = {"11": "SLURM sbatch failed. sbatch: error: Invalid account"}
    race.executor.run_job(race.job)
    assert [info.external_jobid for info in race.reported] == ["12"]
    assert "no job with gpu: a100 was submitted: SLURM sbatch failed. sbatch: error: Invalid account" in race.said()
    race.slurm.queue = [queued(race, "PENDING", job) for job in ("12", "13")]
    assert _look(race) == ["12"]


def test_where_all_are_refused_the_run_has_failed(race):
    race.refused = dict.fromkeys(("11", "12", "13"), "sbatch: error: Invalid account")
    race.executor.run_job(race.job)
    assert race.reported == []
    assert race.calls == [("failed", None, True)]


def test_jobs_that_end_before_they_start_leave_the_others_and_the_last_is_reported(race):
    race.executor.run_job(race.job)
    race.slurm.queue = [queued(race, "CANCELLED", "11"), *(queued(race, "PENDING", job) for job in ("12", "13"))]
    assert _look(race) == ["12"]
    assert "job 11 has ended before it started; the others go on" in race.said()
    race.slurm.queue = [queued(race, "CANCELLED", job) for job in ("12", "13")]
    assert _look(race) == []
    assert race.calls == [("failed", "12", True)]
    assert race.cancelled == []


@pytest.mark.parametrize("seen_late", [False, True], ids=["seen at once", "seen late"])
def test_one_that_lost_and_ended_by_itself_is_no_end_of_the_run(race, seen_late):
    race.executor.run_job(race.job)
    race.slurm.queue = [queued(race, "COMPLETED", "11"), *(queued(race, "RUNNING", job) for job in ("12", "13"))]
    if seen_late:
        assert _look(race) == ["12"]
    _claim(race, "13")
    assert _look(race) == ["13"]
    assert "12" in race.cancelled
    assert "13" not in race.cancelled


def test_a_winner_whose_claim_is_seen_after_its_end_is_the_one_that_is_reported(race):
    race.executor.run_job(race.job)
    race.slurm.queue = [queued(race, "TIMEOUT", "11"), *(queued(race, "PENDING", job) for job in ("12", "13"))]
    assert _look(race) == ["12"]
    _claim(race, "11")
    _ends(race, "11", "running")
    assert _look(race) == []
    assert sorted(race.cancelled) == ["12", "13"]
    # It goes on in another job: Snakemake may start it again.
    assert race.calls == [("failed", "11", False)]


def test_a_winner_that_dies_before_it_has_an_attempt_does_not_keep_the_run_from_being_started(race):
    race.executor.run_job(race.job)
    _claim(race, "11")
    race.slurm.queue = [queued(race, "NODE_FAIL", "11")]
    _look(race)
    _look(race)
    assert race.calls == [("failed", "11", False)]
    before = first_start.current_race(RunFolder(race.run))
    race.reported, race.slurm.queue = [], []
    race.job.attempt = 2
    race.executor.run_job(race.job)
    assert first_start.current_race(RunFolder(race.run)) != before
    assert [info.external_jobid for info in race.reported] == ["14"]
    _claim(race, "15")
    assert _look(race) == ["15"]


def test_where_slurm_does_not_answer_the_others_are_cancelled_again(race, monkeypatch):
    race.executor.run_job(race.job)
    race.answer = None
    _claim(race, "11")
    race.slurm.queue = None
    _look(race)
    assert sorted(race.cancelled) == ["12", "13"]
    race.executor._races._races[race.job].next_cancel = 0.0
    race.answer = []
    _look(race)
    race.executor._races._races[race.job].next_cancel = 0.0
    _look(race)
    assert sorted(race.cancelled) == ["12", "12", "13", "13"]


def test_ctrl_c_cancels_all_jobs_of_a_run(race, monkeypatch):
    monkeypatch.setattr(executor, "CHOICE_SECONDS", 0)
    race.executor.run_job(race.job)
    race.executor.cancel_jobs(list(race.reported))
    assert "about to cancel 3 jobs" in race.said()
    [(_, jobs)] = [call for call in race.calls if call[0] == "cancelled"]
    assert sorted(jobs) == ["11", "12", "13"]


def _of_an_earlier_start(race, *states: tuple[str, str]) -> None:
    first_start.begin_race(RunFolder(race.run))
    race.slurm.queue = [queued(race, state, job) for job, state in states]


def test_all_jobs_of_an_earlier_start_are_taken_over(race):
    _of_an_earlier_start(race, ("7", "PENDING"), ("8", "PENDING"))
    race.executor.run_job(race.job)
    assert "its jobs 7, 8 of an earlier start are still there, and go on" in race.said()
    assert race.submitted == []
    assert _look(race) == ["7"]
    _claim(race, "8")
    assert _look(race) == ["8"]
    assert race.cancelled == ["7"]


def test_of_an_earlier_starts_jobs_the_one_that_has_started_is_taken_over(race):
    _of_an_earlier_start(race, ("7", "PENDING"), ("8", "RUNNING"))
    _claim(race, "8")
    race.executor.run_job(race.job)
    assert [info.external_jobid for info in race.reported] == ["8"]
    assert race.cancelled == ["7"]


def test_where_the_one_that_had_started_is_gone_the_others_are_cancelled_and_new_ones_submitted(race):
    _of_an_earlier_start(race, ("7", "PENDING"))
    _claim(race, "6")
    race.executor.run_job(race.job)
    assert race.cancelled == ["7"]
    assert race.reported == []
    deadline = 100
    while not race.reported and deadline:
        deadline -= 1
        asyncio.run(asyncio.sleep(0.05))
    assert [info.external_jobid for info in race.reported] == ["11"]


def test_a_run_that_has_one_job_again_is_no_race(race, monkeypatch):
    first_start.begin_race(RunFolder(race.run))
    monkeypatch.setattr(training_job, "_requests", {})
    race.executor.run_job(race.job)
    assert len(race.submitted) == 1
    assert not (race.run / "starts" / "race").exists()
    assert "RUNFERRY_RACE" not in race.executor.format_job_exec(race.job)
    assert json.loads((race.run / "run.json").read_text())["id"] == "run1"
