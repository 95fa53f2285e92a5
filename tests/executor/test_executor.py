"""The executor's own part, on the real Slurm plugin's class whose methods only note what they are asked to do."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import time
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as slurm_plugin
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from runferry.config.rounds import ChosenRun, write_chosen
from runferry.runs.continuation import is_to_continue, should_continue
from runferry.runs.folder import RunFolder
from runferry.system.files import write_json
from snakemake_executor_plugin_runferry import compatibility, executor, outputs
from snakemake_executor_plugin_runferry.launcher_call import launcher_call, quoted_for_wrap
from snakemake_executor_plugin_runferry.messages import ends_by_itself
from snakemake_executor_plugin_runferry.submissions import Submissions
from support.fake_plugin import Job, attempt, info_of, look_at, queued

POLICY = (
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size "
    "and/or time limits)"
)


def test_a_job_that_failed_is_reported_with_the_end_of_its_runs_log(world):
    attempt(world, outcome="failed", reason="failed", message="ValueError: no data")
    (world.run / "train.log").write_text("runferry: attempt 1 of run run1\nepoch 1\nValueError: no data\n")
    world.slurm.queue = [queued(world, "FAILED")]
    look_at(world)
    [(line, _)] = world.details
    assert "SLURM-job '7' ended as FAILED. Run run1: failed: ValueError: no data. " in line
    assert f"The end of {world.run / 'train.log'}:\n    | epoch 1\n    | ValueError: no data\n" in line


def test_a_run_is_submitted_once_and_the_queue_is_asked_once_for_many(world):
    for _ in range(5):
        world.executor.run_job(world.job)
    assert world.calls == [("submitted", "train")] * 5
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
    monkeypatch.setattr(executor, "CHOICE_SECONDS", 0)
    late = SubmittedJobInfo(world.job, external_jobid="8", aux={})
    world.executor.active_jobs = [late]
    # Snakemake made its list before job 8 was in it.
    world.executor.cancel_jobs([SubmittedJobInfo(world.job, external_jobid="7", aux={})])
    world.executor.run_job(world.job)
    assert world.calls == [("cancelled", ["7", "8"])]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUSPENDED"])
def test_a_job_of_an_earlier_start_is_taken_over(world, state):
    world.slurm.queue = [queued(world, state)]
    world.executor.run_job(world.job)
    assert world.calls == [("taken over", "7")]
    assert "its job 7 of an earlier start is still there" in world.said()


@pytest.mark.parametrize(
    "other",
    [{"state": "FAILED"}, {"folder": "/elsewhere"}, {"comment": "rule_train_wildcards_a_run2"}],
    ids=["ended", "of another folder", "of another run"],
)
def test_another_job_is_not_taken_over(world, other):
    world.slurm.queue = [queued(world, **other)]
    world.executor.run_job(world.job)
    assert world.calls == [("submitted", "train")]


def test_nothing_is_submitted_while_slurm_does_not_answer(world):
    world.slurm.queue = None
    world.executor.run_job(world.job)
    assert world.calls == []
    assert "Slurm does not answer" in world.said()
    world.slurm.queue = [queued(world)]
    deadline = time.monotonic() + 10
    while not world.calls and time.monotonic() < deadline:
        time.sleep(0.01)
    # It had the job all the time.
    assert world.calls == [("taken over", "7")]


def test_a_submission_that_slurm_did_not_answer_is_tried_again_and_one_that_it_refused_is_not(world):
    info = SubmittedJobInfo(world.job, external_jobid=None)
    world.executor.report_job_error(info, msg="sbatch: error: Socket timed out on send/recv operation")
    deadline = time.monotonic() + 10
    while not world.calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert world.calls == [("submitted", "train")]
    world.executor.report_job_error(info, msg="sbatch: error: Invalid account")
    assert world.calls[1:] == [("failed", None, True)]


def test_no_answer_is_not_an_end(world):
    world.slurm.queue = None
    assert [look_at(world) for _ in range(10)] == [["7"]] * 10
    assert world.calls == []
    # Less and less often.
    assert world.executor._pause == 140


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL", ""])
def test_what_may_be_requeued_or_not_known_yet_is_looked_at_twice(world, state):
    attempt(world)
    world.slurm.queue = [queued(world, state)] if state else []
    assert look_at(world) == ["7"]
    world.slurm.queue = [queued(world, "PENDING")]
    assert look_at(world) == ["7"]
    world.slurm.queue = [queued(world, state)] if state else []
    assert look_at(world) == ["7"]
    assert look_at(world) == []
    # Not the last: Snakemake starts it again.
    assert world.calls == [("failed", "7", False)]


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
    attempt(world, **record)
    world.slurm.queue = [queued(world, state)]
    while look_at(world):
        pass
    assert world.calls == [("failed", "7", last)]
    (file,) = (world.run / "attempts").glob("*.json")
    assert f'"reason": "{reason}"' in file.read_text()


def test_a_run_whose_node_was_lost_before_it_began_goes_on(world):
    world.slurm.queue = [queued(world, "NODE_FAIL")]
    while look_at(world):
        pass
    assert world.calls == [("failed", "7", False)]


@pytest.mark.parametrize("jobs", [2, 3])
def test_a_run_goes_on_in_as_many_jobs_as_are_allowed_and_its_record_says_when_it_is_given_up(world, jobs):
    attempt(world, outcome="stopped", reason="time limit")
    world.job.attempt = jobs
    world.slurm.queue = [queued(world, "FAILED")]
    assert look_at(world) == []
    assert world.calls == [("failed", "7", jobs == 3)]
    assert ("not finished after 3 jobs, as many as `attempts` allows" in world.said()) == (jobs == 3)
    assert should_continue(RunFolder(world.run)), "should somebody start it again"
    assert is_to_continue(RunFolder(world.run)) == (jobs == 2)


def test_a_run_that_another_controllers_job_is_at_work_on_is_waited_for(world):
    attempt(world, outcome="failed", reason="not started")
    world.slurm.queue = [queued(world, "FAILED"), queued(world, "RUNNING", "8")]
    assert look_at(world) == []
    assert world.calls == [("taken over", "8")]


def test_a_trained_run_is_done_whatever_slurm_calls_its_job(world):
    (world.run / "trained.json").write_text("{}")
    world.slurm.queue, world.slurm.ended = [], {"7": "FAILED"}
    assert look_at(world) == []
    assert world.calls == [("done", "7")]


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
    write_chosen(place.with_name("runs.json"), [ChosenRun("run1", {"lr": 0.1}, 0)])
    world.job.output = [str(place)]
    attempt(world, **record)
    world.slurm.queue, world.slurm.ended = [queued(world, state)], {"7": state}
    while look_at(world):
        pass
    assert world.calls == [call]
    assert place.exists() == (call[0] == "done")
    if place.exists():
        assert json.loads(place.read_text()) == {"run": "run1", "finished": False}


def test_the_pause_between_two_looks_ends_with_snakemake(world):
    world.executor._next_look = time.monotonic() + 600
    world.executor.wait = False
    begin = time.monotonic()
    asyncio.run(world.executor.sleep())
    assert time.monotonic() - begin < 5


def _sleeps(world, seconds: float) -> bool:
    """Whether the executor still waits after so many seconds, with a look at Slurm far away."""
    world.executor._next_look = time.monotonic() + 600
    world.executor.active_jobs = [info_of(world, "7")]

    async def sleep() -> bool:
        try:
            await asyncio.wait_for(world.executor.sleep(), seconds)
        except TimeoutError:
            return True
        return False

    return asyncio.run(sleep())


def test_a_run_that_is_trained_is_done_before_slurm_is_asked(world):
    assert _sleeps(world, 0.5)
    (world.run / "trained.json").write_text("{}")
    assert not _sleeps(world, 10)
    world.executor._next_look = time.monotonic() + 600

    async def look() -> list:
        return [info async for info in world.executor.check_active_jobs([info_of(world, "7")])]

    assert asyncio.run(look()) == []
    assert world.calls == [("done", "7")]
    assert world.slurm.asked == 0


def test_of_a_run_that_says_that_it_is_over_slurm_is_asked_soon_and_once(world, monkeypatch):
    monkeypatch.setattr(executor, "REASON_SECONDS", 0.1)
    attempt(world, outcome="running")
    assert _sleeps(world, 0.5)
    attempt(world, job="6", outcome="failed")
    assert _sleeps(world, 0.5), "it is another job's"
    attempt(world, outcome="failed", reason="failed")
    assert not _sleeps(world, 10)
    # Slurm takes it for a running one still: that is for the next look.
    assert _sleeps(world, 0.5)


def test_jobs_that_do_not_train_are_the_plugins(world):
    world.job.output = ["figure.png"]
    world.executor.run_job(world.job)
    assert look_at(world, "9") == ["9"]
    assert world.calls == [("submitted", "train"), ("checked", "9")]
    assert world.slurm.asked == 0


@pytest.mark.parametrize("keep", [False, True])
def test_slurms_log_of_a_job_that_has_trained_goes_with_its_folder_unless_it_is_to_be_kept(world, keep):
    world.executor.workflow.executor_settings.keep_successful_logs = keep
    log = world.folder / "slurm_logs" / "a_run1" / "7.log"
    log.parent.mkdir(parents=True)
    log.touch()
    write_json(world.run / "trained.json", {})
    world.slurm.queue = [queued(world, "COMPLETED")]
    info = SubmittedJobInfo(world.job, external_jobid="7", aux={"slurm_logfile": log})

    async def look() -> list[str]:
        return [info.external_jobid async for info in world.executor.check_active_jobs([info])]

    assert asyncio.run(look()) == []
    assert world.calls == [("done", "7")]
    assert log.exists() == log.parent.exists() == keep


def test_a_job_that_was_trained_since_snakemake_looked_is_not_submitted(world):
    (world.run / "trained.json").write_text("{}")
    world.executor.run_job(world.job)
    assert world.calls == [("taken over", "none-3")]
    # It was there already, and is to be trained anew.
    world.job.missing.clear()
    world.executor.run_job(world.job)
    assert world.calls[1:] == [("submitted", "train")]
    assert not (world.run / "trained.json").exists()


@pytest.mark.parametrize("after", ["gone", "PENDING"])
def test_a_job_of_an_earlier_start_that_is_ending_is_waited_for(world, after):
    world.slurm.queue = [queued(world, "COMPLETING")]
    world.executor.run_job(world.job)
    assert world.calls == []
    assert "its job 7 of an earlier start is ending" in world.said()
    time.sleep(0.3)
    assert world.calls == []
    world.slurm.queue = [queued(world, after)] if after == "PENDING" else []
    deadline = time.monotonic() + 10
    while not world.calls and time.monotonic() < deadline:
        time.sleep(0.01)
    # A requeued one runs again.
    assert world.calls == [("taken over", "7") if after == "PENDING" else ("submitted", "train")]


def test_a_training_has_a_job_name_that_says_what_it_is_and_others_the_plugins(world):
    other = Job("figure.png", "plot")
    world.executor.run_job(world.job)
    world.executor.run_job(other)
    world.settings.jobname_prefix = "mine"
    world.executor.run_job(world.job)
    world.settings.efficiency_report = True
    world.executor.run_job(world.job)
    names = [name for name, _ in world.details]
    assert names == ["a-run1", "id of this start", "mine_a-run1", "id of this start"]


def test_a_node_that_accounting_has_no_name_for_is_not_excluded(world):
    world.executor.run_job(world.job)
    assert [nodes for _, nodes in world.details] == [["c1"]]


def test_arrays_are_for_jobs_that_do_not_train(world, monkeypatch):
    arrays: list = []
    monkeypatch.setattr(slurm_plugin.Executor, "run_array_jobs", lambda _self, jobs: arrays.append(jobs), raising=False)
    other = Job("figure.png", "plot")
    world.executor.run_array_jobs([world.job, other])
    assert arrays == [[other]]
    assert world.calls == [("submitted", "train")]


def test_the_command_of_a_training_is_the_launcher_and_of_others_a_snakemake(world):
    words = shlex.split(world.executor.format_job_exec(world.job))
    assert words[-6:] == ["/venv/bin/python", "-P", "-m", "runferry", "launch", str(world.run)]
    assert "--ntasks=1" in words
    assert "OMP_NUM_THREADS=4" in words
    assert world.executor.format_job_exec(Job("figure.png", "plot")) == "a Snakemake"
    # Of the same name, of an experiment that is none of this workflow's.
    elsewhere = world.folder / "other" / "b" / "run1"
    write_json(elsewhere / "run.json", {"id": "run1"})
    assert world.executor.format_job_exec(Job(str(elsewhere / "trained.json"))) == "a Snakemake"


def test_what_only_a_snakemake_inside_of_the_job_does_is_left_to_one(world):
    world.job.shadow_dir = "/shadow"
    assert world.executor.format_job_exec(world.job) == "a Snakemake"


@pytest.mark.parametrize("folder", ["plain", "with space", "a'quote", "a$HOME", "back`tick`", "back\\slash"])
def test_a_command_comes_through_the_shell_that_calls_sbatch_as_it_is(folder):
    job = Job("x")
    call = launcher_call(job, ["launch", f"/results/{folder}"], "/python", 5)
    # As the plugin does it (2.8.0), with printf in place of sbatch; then the job's own shell.
    wrapped = quoted_for_wrap(call).replace('"', '\\"')
    script = subprocess.run(f'printf %s "{wrapped}"', shell=True, capture_output=True, text=True, check=True).stdout
    assert script == call
    assert shlex.split(script)[-1] == f"/results/{folder}"


def test_before_a_submission_old_outputs_go_and_the_log_of_earlier_attempts_stays(world):
    log = world.run / "train.log"
    log.write_text("attempt 1\n")
    world.job.log = [str(log)]
    (world.run / "trained.json").write_text("{}")
    world.job.missing.clear()
    world.executor.run_job(world.job)
    assert not (world.run / "trained.json").exists()
    assert log.read_text() == "attempt 1\n"


def test_a_protected_output_is_refused_and_nothing_is_submitted(world, monkeypatch):
    (world.run / "trained.json").write_text("{}")
    world.job.missing.clear()
    monkeypatch.setattr(outputs.os, "access", lambda *_: False)
    world.executor.run_job(world.job)
    assert world.calls == [("failed", None, True)]
    [(message, _)] = world.details
    assert "found it write-protected" in message
    assert (world.run / "trained.json").exists()


def test_a_benchmark_is_written_from_the_attempts_record(world):
    world.job.benchmark = str(world.folder / "benchmarks" / "run1.tsv")
    used = {"cpu_seconds": 150.0, "peak_memory": 300 * 2**20}
    attempt(world, outcome="finished", seconds=3725.5, used=used)
    (world.run / "trained.json").write_text("{}")
    assert look_at(world) == []
    names, values = (world.folder / "benchmarks" / "run1.tsv").read_text().splitlines()
    assert dict(zip(names.split("\t"), values.split("\t"), strict=True)) == {
        "s": "3725.5000",
        "h:m:s": "1:02:05",
        "max_rss": "300.00",
        **dict.fromkeys(("max_vms", "max_uss", "max_pss", "io_in", "io_out"), "NA"),
        "mean_load": "4.03",
    }


def test_a_job_that_never_began_is_reported_with_the_end_of_slurms_log(world):
    log = world.folder / "slurm_logs" / "7.log"
    log.parent.mkdir()
    log.write_text("runferry: /results/a/run1: found that it cannot be written (Read-only file system)\n")
    world.slurm.queue = [queued(world, "FAILED")]
    assert look_at(world) == []
    [(message, logs)] = world.details
    assert f"It never began to train. The end of {log}:\n    | runferry: /results/a/run1: found that" in message
    assert logs == [str(log)]


def test_a_job_whose_memory_was_too_little_to_begin_is_told_so(world):
    world.slurm.queue, world.slurm.ended = [queued(world, "OUT_OF_MEMORY")], {"7": "OUT_OF_MEMORY"}
    assert look_at(world) == []
    [(message, _)] = world.details
    assert "It ran out of memory before it began to train" in message


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", True),
        ("sbatch: error: Batch job submission failed: Unexpected message received", True),
        ("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received", True),
        (f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}", True),
        (f"sbatch: error: QOSMaxCpuPerUserLimit\n{POLICY}", False),
        (POLICY, True),
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination", False),
    ],
)
def test_an_answer_that_ends_by_itself_is_told_from_a_refusal(answer, again):
    assert (ends_by_itself(answer) is not None) == again


def test_the_installed_plugin_is_known():
    assert compatibility.why_not() is None


@pytest.mark.parametrize("missing", ["run_job", "sleep", "cancel_jobs"])
def test_a_plugin_without_a_method_that_is_built_upon_is_refused_in_one_line(missing):
    methods = {
        name: getattr(slurm_plugin.Executor, name) for name in dir(slurm_plugin.Executor) if not name.startswith("__")
    }
    changed = SimpleNamespace(
        Executor=type("Executor", (), {name: method for name, method in methods.items() if name != missing}),
        ExecutorSettings=slurm_plugin.ExecutorSettings,
        common_settings=slurm_plugin.common_settings,
    )
    line = compatibility.why_not_plugin(changed)
    assert line is not None
    assert f"found no {missing}(" in line
    assert "run: pip install" in line
    assert "\n" not in line


def test_a_plugin_whose_method_takes_something_else_is_refused():
    class Changed(slurm_plugin.Executor):
        def run_job(self, group):
            pass

    changed = SimpleNamespace(
        Executor=Changed,
        ExecutorSettings=slurm_plugin.ExecutorSettings,
        common_settings=slurm_plugin.common_settings,
    )
    assert "found no run_job(job)" in (compatibility.why_not_plugin(changed) or "")
