"""The sync of runs that were online."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from runferry.sync.engine import sync
from runferry.trackers.wandb.log.segment import read_segment
from runferry_standin import running
from runferry_standin.app import App
from runferry_standin.links import Links
from support.forward_proxy import forward_proxy
from support.limits import within
from support.online_jobs import MORE, Job, losses_of
from support.wandb_clients import NEWEST, VERSIONS

if TYPE_CHECKING:
    from starlette.requests import Request

QUICK = within(1, 60)


FINISHED, KILLED = "run.finish()", "os.kill(os.getpid(), signal.SIGKILL)"
API, STORAGE = "api.wandb.test", "storage.wandb.test"
"""Names that only the proxy of a test knows."""


@pytest.fixture
def at_the_login_node(server, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name, value in {**server.environment, "WANDB_ERROR_REPORTING": "false", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.mark.parametrize("version", VERSIONS)
def test_an_online_run_is_verified_and_sent_no_second_time(version, wandb_python, at_the_login_node, tmp_path):
    server = at_the_login_node
    job = Job(tmp_path, wandb_python(version), server.environment)
    assert job.run(metrics_only=True)[0] == 0
    # The first brings what the job could not, its files; the rows are there.
    (outcome,) = sync([job.folder], QUICK)
    assert outcome.problem is None
    assert losses_of(server.run("demo", "digits", "run1")) == [step / 2 for step in range(20)]
    server.clear_requests()
    job.folder.receipt_file.unlink()
    (outcome,) = sync([job.folder], QUICK)
    assert outcome.problem is None
    assert "file_stream" not in server.requests()["counts"]
    receipt = json.loads(job.folder.receipt_file.read_text())
    (segment,) = job.folder.segments()
    assert read_segment(segment).online
    assert [each["name"] for each in receipt["segments"]] == [segment.name]
    assert receipt["disk"]["history_lines"] == receipt["server"]["history_lines"] == 20


@pytest.mark.parametrize("version", VERSIONS)
def test_what_did_not_arrive_while_it_was_online_is_sent_from_the_disk(
    version, wandb_python, at_the_login_node, tmp_path
):
    server = at_the_login_node
    job = Job(tmp_path, wandb_python(version), server.environment)
    server.faults({"match": "file_stream", "status": 403})
    assert job.run(metrics_only=True)[0] == 0
    assert losses_of(server.run("demo", "digits", "run1")) == []
    server.faults()
    (outcome,) = sync([job.folder], QUICK)
    assert outcome.problem is None
    assert losses_of(server.run("demo", "digits", "run1")) == [step / 2 for step in range(20)]


# 0.22.3 tries for two minutes however the run ends, the later ones for half of one: each way of ending once.
@pytest.mark.parametrize(
    ("version", "end"),
    [("0.22.3", FINISHED), ("0.27.2", KILLED), (NEWEST, FINISHED), (NEWEST, KILLED)],
    ids=["0.22.3-finish", "0.27.2-killed", "newest-finish", "newest-killed"],
)
@pytest.mark.slow
def test_a_server_that_stops_to_answer_holds_no_job_and_costs_no_row(
    version, end, wandb_python, at_the_login_node, tmp_path
):
    # A finish has a time limit from some version after 0.22 on; where it has none, trying has an end.
    server = at_the_login_node
    job = Job(tmp_path, wandb_python(version), server.environment)
    server.faults({"match": "file_stream", "hang": True})
    _, _, after = job.run(end=end, metrics_only=True)
    assert after is not None
    assert after < 160
    server.faults()
    (outcome,) = sync([job.folder], QUICK)
    assert outcome.problem is None
    assert losses_of(server.run("demo", "digits", "run1")) == [step / 2 for step in range(20)]


@pytest.fixture
def storage_of_its_own_name(monkeypatch):
    """Whoever comes by the API's name is told of the storage by another one, over HTTPS, as W&B's server does it."""
    own = App.links

    def links(self: App, request: Request) -> Links:
        found = own(self, request)
        return Links(f"https://{API}", f"https://{STORAGE}", found.key) if request.url.hostname == API else found

    monkeypatch.setattr(App, "links", links)


@pytest.mark.usefixtures("storage_of_its_own_name")
@pytest.mark.parametrize(("version", "drop"), [*((version, False) for version in VERSIONS), (NEWEST, True)])
def test_through_a_sites_proxy_metrics_arrive_and_the_sync_brings_the_files_that_it_blocks(
    version, drop, wandb_python, monkeypatch, tmp_path
):
    with (
        running(storage_port=0) as server,
        forward_proxy(API, int(server.url.rsplit(":", 1)[1]), tmp_path, drop=drop) as proxy,
    ):
        given = proxy.environment | {"WANDB_BASE_URL": f"https://{API}", "WANDB_API_KEY": server.key}
        job = Job(tmp_path, wandb_python(version), given)
        code, errors, after = job.run(f"{MORE['saved file']}\n{MORE['artifact']}", metrics_only=True)
        assert code == 0, errors
        assert after is not None
        assert after < 10
        held = server.run("demo", "digits", "run1")
        assert losses_of(held) == [step / 2 for step in range(20)]
        assert held["state"] == "finished"
        # The artifact was tried; nothing reached the storage, and nothing but the storage was blocked.
        assert set(proxy.passed) == {f"{API}:443"}
        assert set(proxy.blocked) == {f"{STORAGE}:443"}
        assert [file["name"] for file in held["files"] if file["size_bytes"]] == []

        # The login node needs no proxy.
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            monkeypatch.delenv(name)
        for name, value in {**server.environment, "WANDB_ERROR_REPORTING": "false", "HOME": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        (outcome,) = sync([job.folder], QUICK)
        assert outcome.problem is None
        held = server.run("demo", "digits", "run1")
    assert losses_of(held) == [step / 2 for step in range(20)]
    assert "note.txt" in [file["name"] for file in held["files"] if file["size_bytes"]]
    receipt = json.loads(job.folder.receipt_file.read_text())
    assert receipt["disk"]["history_lines"] == receipt["server"]["history_lines"] == 20


@pytest.mark.parametrize("modes", [("online", "offline"), ("offline", "online"), ("online", "online")], ids=str)
def test_attempts_of_both_modes_make_one_run(modes, wandb_python, at_the_login_node, tmp_path):
    server = at_the_login_node
    job = Job(tmp_path, wandb_python(NEWEST), server.environment)
    for mode in modes:
        assert job.run(mode=mode)[0] == 0
        (outcome,) = sync([job.folder], QUICK)
        assert outcome.problem is None
    held = server.run("demo", "digits", "run1")
    assert losses_of(held) == 2 * [step / 2 for step in range(20)]
    assert [row["_step"] for row in held["history"]] == list(range(40))
    assert len(job.folder.segments()) == 2


@pytest.mark.parametrize("modes", [("online", "offline"), ("offline", "offline")], ids=str)
def test_an_attempt_on_a_node_whose_clock_is_behind_comes_after_the_one_before(
    modes, wandb_python, at_the_login_node, tmp_path
):
    server = at_the_login_node
    job = Job(tmp_path, wandb_python(NEWEST), server.environment)
    for mode, zone in zip(modes, ("EST+5", "PST+8"), strict=True):
        job.environment["TZ"] = zone
        assert job.run(mode=mode)[0] == 0
        (outcome,) = sync([job.folder], QUICK)
        assert outcome.problem is None
    held = server.run("demo", "digits", "run1")
    assert losses_of(held) == 2 * [step / 2 for step in range(20)]
    assert [row["_step"] for row in held["history"]] == list(range(40))
    first, second = job.folder.segments()
    # wandb names a segment by the time of the node.
    assert second.name.removeprefix("offline-") < first.name.removeprefix("offline-")
