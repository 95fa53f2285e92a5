"""Live sync: what running runs write reaches the server while they train, once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from runferry.runs.continuation import give_up
from runferry.runs.folder import RunFolder, find_run_folders
from runferry.sync.engine import sync
from runferry.sync.lock import results_lock
from runferry.sync.wandb.live import Watcher
from runferry.sync.wandb.live_client import LiveServer
from runferry.sync.wandb.live_run import LiveOptions
from runferry.system.files import write_json
from runferry.trackers.wandb.log.segment import history, read_segment
from support.limits import within
from support.live_runs import NEWEST, Growing, state, steps
from support.written_runs import PROJECT, log_of, write_run

if TYPE_CHECKING:
    from pathlib import Path


QUICK = within(2, 60)
pytestmark = pytest.mark.usefixtures("connected")


@pytest.fixture(scope="module", params=["0.22.3", "0.27.2", NEWEST])
def trained_by_each(request, wandb_python, tmp_path_factory):
    """The same by each supported version."""
    folder = RunFolder(tmp_path_factory.mktemp("trained") / "results" / "experiment" / "run1")
    write_run(wandb_python(request.param), folder, 60)
    return folder


class Heard(Watcher):
    """A watcher that keeps what it says."""

    lines: list[str]


def watcher(results: Path, **options) -> Heard:
    lines: list[str] = []
    made = Heard(lambda: find_run_folders(results), LiveOptions(interval=0.2, **options), lines.append)
    made.lines = lines
    return made


def test_rows_of_a_running_run_arrive_while_it_trains_and_the_sync_at_its_end_sends_only_the_rest(
    trained_by_each, server, tmp_path
):
    run = Growing(trained_by_each, tmp_path / "results")
    live = watcher(tmp_path / "results")
    live.look()
    seen = []
    for part in (0.3, 0.5, 0.7):
        run.grow(part)
        live.look()
        seen.append(len(steps(server)))
        assert steps(server) == list(range(seen[-1]))
        assert state(server) == "running"
    assert 0 < seen[0] < seen[1] < seen[2] < 61
    assert seen[-1] == sum(1 for _ in history(run.log))
    held = server.run("demo", PROJECT, "run1")
    assert held["config"]["deep"] == {"a": [1, 2]}
    assert held["summary"]["nested"] == read_segment(run.segment).summary["nested"]

    run.finish()
    live.look()
    assert state(server) == "running", "that it has finished is for the sync to say"
    assert [outcome.problem for outcome in sync([run.folder], QUICK)] == [None]
    held = server.run("demo", PROJECT, "run1")
    assert held["state"] == "finished"
    assert steps(server) == list(range(61))
    ours = list(history(run.log))
    assert [row["loss"] for row in held["history"]] == [row["loss"] for row in ours]
    assert all(abs(row["_runtime"] - our["_runtime"]) < 1e-6 for row, our in zip(held["history"], ours, strict=True))


def test_a_line_is_what_the_client_itself_sends(trained_by_each, server, tmp_path):
    results = tmp_path / "results"
    run = Growing(trained_by_each, results)
    run.grow(1)
    watcher(results).look()
    live = server.run("demo", PROJECT, "run1")["history"]
    command = [sys.executable, "-m", "wandb", "sync", "--project", "other", str(trained_by_each.segments()[0])]
    subprocess.run(command, check=True, capture_output=True)
    for marker in trained_by_each.segments()[0].glob("*.synced"):
        marker.unlink()
    own = server.run("demo", "other", "run1")["history"]
    assert len(own) == 61
    assert live == own


def test_a_watcher_that_died_goes_on_where_it_was_and_sends_nothing_twice(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.4)
    watcher(tmp_path / "results").look()
    before = len(steps(server))
    server.clear_requests()
    again = watcher(tmp_path / "results")
    again.look()
    assert len(steps(server)) == before
    run.grow(0.8)
    again.look()
    assert steps(server) == list(range(len(steps(server))))
    assert len(steps(server)) == sum(1 for _ in history(run.log)) > before

    # With its state, and with a state that says more than the server has.
    again.stop()
    again.watch()
    assert (run.folder.path / "live.json").exists()
    run.grow(1)
    watcher(tmp_path / "results").look()
    assert steps(server) == list(range(61))


def test_a_state_that_says_more_than_the_server_has_is_not_believed(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.6)
    first = watcher(tmp_path / "results")
    first.look()
    first.stop()
    first.watch()
    saved = json.loads((run.folder.path / "live.json").read_text())
    assert saved["rows"] == len(steps(server))
    number = server.graphql('query { project(name: "tests", entityName: "demo") { run(name: "run1") { id } } }')[
        "data"
    ]["project"]["run"]["id"]
    server.graphql("mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", {"id": number})
    run.grow(0.8)
    watcher(tmp_path / "results").look()
    assert steps(server) == list(range(sum(1 for _ in history(run.log))))


def test_a_run_whose_process_died_is_shown_as_crashed_and_the_sync_carries_the_rest(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    gone = subprocess.Popen(["true"])
    run.grow(0.5)
    live = watcher(tmp_path / "results")
    live.look()
    gone.wait()
    run.attempt("running", pid=gone.pid)
    run.grow(0.6)
    live.look()
    assert state(server) == "crashed"
    assert [outcome.problem for outcome in sync([run.folder], QUICK)] == [None]
    assert state(server) in {"failed", "crashed"}
    assert steps(server) == list(range(sum(1 for _ in history(run.log))))


def test_a_run_that_another_attempt_will_go_on_with_stays_shown_as_running(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    live = watcher(tmp_path / "results", attempts_follow=True)
    live.look()
    run.attempt("stopped", "time limit")
    run.grow(0.6)
    live.look()
    assert state(server) == "running"
    assert steps(server) == list(range(sum(1 for _ in history(run.log))))
    # Slurm has said meanwhile that it was cancelled: nobody will go on with it.
    run.attempt("stopped", "cancelled")
    live.look()
    assert state(server) == "crashed"


def test_a_run_whose_attempts_are_used_up_is_shown_as_crashed_while_the_workflow_goes_on(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    live = watcher(tmp_path / "results", attempts_follow=True)
    live.look()
    run.attempt("stopped", "time limit")
    live.look()
    assert state(server) == "running", "it is not known yet"
    give_up(run.folder)
    live.look()
    assert state(server) == "crashed"


@pytest.mark.parametrize("reason", ["failed", "killed", "out of memory", "time limit", "lost"])
def test_a_run_that_ended_badly_is_shown_as_crashed_at_once_where_nobody_starts_it_again(
    trained, server, tmp_path, reason
):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    live = watcher(tmp_path / "results")
    live.look()
    run.attempt("failed", reason)
    live.look()
    assert state(server) == "crashed"


def test_a_request_that_arrives_after_the_end_leaves_the_run_as_it_ended(trained, server, tmp_path, monkeypatch):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    live = watcher(tmp_path / "results")
    live.look()
    run.grow(0.7)
    stream = LiveServer.stream
    states = []

    def late(self, *arguments, **words):
        if not states:
            run.finish()
            assert [outcome.problem for outcome in sync([run.folder], QUICK)] == [None]
            stream(self, *arguments, **words)
            states.append(state(server))
        else:
            stream(self, *arguments, **words)

    monkeypatch.setattr(LiveServer, "stream", late)
    live.look()
    assert states == ["running"], "it was late"
    assert state(server) == "finished"
    assert steps(server) == list(range(61))


def test_a_resumed_run_goes_on_behind_its_first_segment(wandb_python, server, tmp_path):
    folder = RunFolder(tmp_path / "results" / "experiment" / "run1")
    write_run(wandb_python(NEWEST), folder, 10, exit_code=1, rich=False)
    old = time.time() - 60
    os.utime(log_of(folder), (old, old))
    time.sleep(1.1)
    write_run(wandb_python(NEWEST), folder, 14, first=6, rich=False)
    folder.trained_file.unlink()
    record = {"attempt": 2, "host": socket.gethostname(), "job": None, "pid": os.getpid(), "outcome": "running"}
    write_json(folder.attempts_folder / "2.json", record)
    watcher(tmp_path / "results").look()
    assert steps(server) == list(range(18)), "steps that begin again are moved behind the others, as wandb sync does"
    write_json(folder.attempts_folder / "2.json", record | {"outcome": "finished"})
    write_json(folder.trained_file, {})
    assert [outcome.problem for outcome in sync([folder], QUICK)] == [None]
    assert steps(server) == list(range(18))
    assert state(server) == "finished"


@pytest.mark.parametrize(
    "fault", [{"status": 429, "headers": {"Retry-After": "1"}}, {"status": 503}, {"drop": "answering"}, {"html": True}]
)
def test_trouble_of_the_server_is_waited_for_and_nothing_is_doubled(trained, server, tmp_path, fault):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.4)
    live = watcher(tmp_path / "results")
    live.look()
    run.grow(0.8)
    server.faults({"match": "file_stream", "count": 1, **fault})
    live.look()
    assert "trying again in 1 s" in live.lines[-1]
    server.clear_requests()
    live.look()
    assert server.requests()["total"] == 0, "it waits as long as it was told"
    time.sleep(1.1)
    live.look()
    assert steps(server) == list(range(sum(1 for _ in history(run.log))))


def test_a_run_that_writes_nothing_costs_ever_fewer_requests(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    live = watcher(tmp_path / "results")
    live.look()
    server.clear_requests()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        live.look()
        time.sleep(0.05)
    assert 1 <= server.requests()["counts"]["file_stream"] <= 4
    assert state(server) == "running"


def test_a_sync_that_holds_the_lock_does_not_keep_running_runs_from_going_up(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    run.grow(0.5)
    live = watcher(tmp_path / "results")
    with results_lock(tmp_path / "results", print):
        live.look()
        assert len(steps(server)) > 0
        # What has ended is left alone meanwhile.
        run.attempt("killed")
        live.look()
        assert state(server) == "running"
    live.look()
    assert state(server) == "crashed"


def test_a_place_that_cannot_be_read_is_waited_for_and_then_left_to_the_sync(trained, server, tmp_path):
    run = Growing(trained, tmp_path / "results")
    whole = run.content
    middle = len(whole) // 2
    run.content = whole[:middle] + bytes(40) + whole[middle + 40 :]
    run.finish()
    run.attempt("running")
    live = watcher(tmp_path / "results")
    live.look()
    live.look()
    before = steps(server)
    assert before == list(range(len(before)))
    assert [line for line in live.lines if "not live any more" in line and "sync carries the rest" in line]
    assert len(live.lines) == 1
    run.attempt("finished")
    (outcome,) = sync([run.folder], QUICK)
    assert "is not read as a whole" in (outcome.problem or "")
    assert steps(server) == [row["_step"] for row in history(run.log)]
