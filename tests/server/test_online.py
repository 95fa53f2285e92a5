"""An online run, as a job on a cluster has it: launched for real, with the storage within reach or not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from forward_proxy import forward_proxy
from wandb_clients import NEWEST, VERSIONS

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.outcome import Limits
from runferry.system.files import write_json
from runferry.trackers.wandb.log.segment import history, read_segment
from runferry_standin import running
from runferry_standin.app import App
from runferry_standin.links import Links

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

SCRIPT = """
import os, pathlib, signal, sys, time
import wandb
run = wandb.init()
for step in range(20):
    run.log({{"loss": step / 2}})
{more}
# The end of the training, for the test's clock: a file, whose time is the filesystem's.
pathlib.Path("trained").touch()
{end}
"""
MORE = {
    "metrics": "",
    "saved file": "pathlib.Path('note.txt').write_text('x'); run.save('note.txt')",
    "media": "run.log({'a/b/c': wandb.Html('<p>x</p>')})",
    "tables": "for n in range(5): run.log({f't{n}': wandb.Table(columns=['a'], data=[[n]])})",
    "artifact": "a = wandb.Artifact('m', type='model'); pathlib.Path('w').write_text('w'); a.add_file('w'); "
    "run.log_artifact(a)",
}
QUICK = Limits(patience=1, deadline=60)


@contextmanager
def _refusing() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def _swallowing() -> Iterator[int]:
    """A port whose packets are dropped, as by a firewall: its backlog is full and nothing is accepted."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        with socket.socket() as probe:
            probe.settimeout(0.5)
            with pytest.raises(TimeoutError):
                probe.connect(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


API, STORAGE = "api.wandb.test", "storage.wandb.test"
"""Names that only the proxy of a test knows."""

BLOCKED = {"refused": _refusing, "black-holed": _swallowing}


class Job:
    """A run and the environment of a job on this machine."""

    def __init__(self, folder: Path, python: Path, environment: dict[str, str]) -> None:
        self.folder = RunFolder(folder / "results" / "digits" / "run1")
        self._python = python
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("WANDB_", "SLURM_"))}
        own = {"HOME": str(folder), "WANDB_ERROR_REPORTING": "false", "NO_PROXY": "127.0.0.1"}
        self.environment = inherited | own | environment
        self._workdir = folder

    def run(self, more: str = "", end: str = "run.finish()", **wandb: object) -> tuple[int, str, float | None]:
        """Return the launcher's exit code, what it said, and how long after the training it ended (s)."""
        (self._workdir / "train.py").write_text(SCRIPT.format(more=more, end=end))
        record = {"project": "digits", "entity": None, "group": "digits", "tags": [], "mode": "online", **wandb}
        write_json(
            self.folder.run_file,
            {
                "id": "run1",
                "name": "run1",
                "command": [str(self._python), "train.py"],
                "workdir": str(self._workdir),
                "environment": None,
                "wandb": record,
            },
        )
        trained = self._workdir / "trained"
        trained.unlink(missing_ok=True)
        command = [sys.executable, "-m", "runferry", "launch", str(self.folder.path)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=200)
        after = time.time() - trained.stat().st_mtime if trained.exists() else None
        return done.returncode, done.stderr, after


def _losses(held: dict) -> list[float]:
    return [row["loss"] for row in held["history"] if "loss" in row]


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("blocked", BLOCKED)
@pytest.mark.parametrize("version", VERSIONS)
def test_with_the_storage_blocked_a_job_ends_with_its_training_and_every_row_is_there(
    version, blocked, more, wandb_python, tmp_path
):
    with BLOCKED[blocked]() as port, running(storage_port=port, storage_served=False) as server:
        job = Job(tmp_path, wandb_python(version), server.environment)
        code, errors, after = job.run(MORE[more], metrics_only=True)
        assert code == 0, errors
        assert after is not None
        # What goes nowhere but to the storage is tried twice, for 1 s each.
        assert after < (10 if more in {"tables", "artifact"} else 5)
        held = server.run("demo", "digits", "run1")
        (segment,) = job.folder.segments()
    assert _losses(held) == [step / 2 for step in range(20)]
    assert held["history_line_count"] == sum(1 for _ in history(segment))
    assert held["state"] == "finished"


@pytest.mark.parametrize("blocked", BLOCKED)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["no finish", "killed"])
def test_nor_does_it_take_longer_when_the_script_does_not_finish_its_run(end, version, blocked, wandb_python, tmp_path):
    with BLOCKED[blocked]() as port, running(storage_port=port, storage_served=False) as server:
        job = Job(tmp_path, wandb_python(version), server.environment)
        code, _, after = job.run(MORE["artifact"], end=end, metrics_only=True)
        assert after is not None
        assert after < 10
        held = server.run("demo", "digits", "run1")
    assert code == (137 if end else 0)
    assert held["state"] == ("failed" if end else "finished")
    assert _losses(held) == [step / 2 for step in range(20)]


@pytest.mark.parametrize("version", VERSIONS)
def test_where_everything_is_within_reach_files_travel_too(version, wandb_python, tmp_path):
    with running() as server:
        job = Job(tmp_path, wandb_python(version), server.environment)
        code, errors, _ = job.run(MORE["saved file"])
        assert code == 0, errors
        held = server.run("demo", "digits", "run1")
    assert _losses(held) == [step / 2 for step in range(20)]
    assert "note.txt" in [file["name"] for file in held["files"]]


@pytest.mark.parametrize("blocked", BLOCKED)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_out_of_reach_is_said_in_one_line_and_in_time(version, blocked, wandb_python, tmp_path):
    with BLOCKED[blocked]() as port:
        environment = {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": "ab" * 20}
        job = Job(tmp_path, wandb_python(version), environment)
        start = time.monotonic()
        code, errors, _ = job.run(metrics_only=True)
        seconds = time.monotonic() - start
    assert code != 0
    # 0.27 asks twice before its clock starts, black-holed for 21 s each, and ends as slowly.
    assert seconds < (60 if version == NEWEST else 120)
    line, *end_of_log = errors.splitlines()
    assert all(quoted.startswith("    | ") for quoted in end_of_log)
    assert "wandb.mode: offline" in line


def test_without_a_key_it_is_said_in_one_line(wandb_python, tmp_path):
    with running() as server:
        job = Job(tmp_path, wandb_python(NEWEST), {"WANDB_BASE_URL": server.url})
        code, errors, _ = job.run()
    assert code != 0
    line, *end_of_log = errors.splitlines()
    assert all(quoted.startswith("    | ") for quoted in end_of_log)
    assert "no W&B key in this job" in line
    assert "wandb.mode: offline" in line


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
    assert _losses(server.run("demo", "digits", "run1")) == [step / 2 for step in range(20)]
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
    assert _losses(server.run("demo", "digits", "run1")) == []
    server.faults()
    (outcome,) = sync([job.folder], QUICK)
    assert outcome.problem is None
    assert _losses(server.run("demo", "digits", "run1")) == [step / 2 for step in range(20)]


@pytest.mark.parametrize("end", ["run.finish()", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["finish", "killed"])
@pytest.mark.parametrize("version", VERSIONS)
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
    assert _losses(server.run("demo", "digits", "run1")) == [step / 2 for step in range(20)]


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
        assert _losses(held) == [step / 2 for step in range(20)]
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
    assert _losses(held) == [step / 2 for step in range(20)]
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
    assert _losses(held) == 2 * [step / 2 for step in range(20)]
    assert [row["_step"] for row in held["history"]] == list(range(40))
    assert len(job.folder.segments()) == 2
