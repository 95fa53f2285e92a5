"""An online run, as a job on a cluster has it: launched for real, with the storage within reach or not."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from runferry.trackers.wandb.log.segment import history
from runferry_standin import running
from support.online_jobs import MORE, Job, losses_of
from support.wandb_clients import NEWEST, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator


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


BLOCKED = {"refused": _refusing, "black-holed": _swallowing}


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
    assert losses_of(held) == [step / 2 for step in range(20)]
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
    assert losses_of(held) == [step / 2 for step in range(20)]


@pytest.mark.parametrize("version", VERSIONS)
def test_where_everything_is_within_reach_files_travel_too(version, wandb_python, tmp_path):
    with running() as server:
        job = Job(tmp_path, wandb_python(version), server.environment)
        code, errors, _ = job.run(MORE["saved file"])
        assert code == 0, errors
        held = server.run("demo", "digits", "run1")
    assert losses_of(held) == [step / 2 for step in range(20)]
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
    _, line, *end_of_log = errors.splitlines()
    assert all(quoted.startswith("    | ") for quoted in end_of_log)
    assert "wandb.mode: offline" in line


def test_without_a_key_it_is_said_in_one_line(wandb_python, tmp_path):
    with running() as server:
        job = Job(tmp_path, wandb_python(NEWEST), {"WANDB_BASE_URL": server.url})
        code, errors, _ = job.run()
    assert code != 0
    _, line, *end_of_log = errors.splitlines()
    assert all(quoted.startswith("    | ") for quoted in end_of_log)
    assert "no W&B key in this job" in line
    assert "wandb.mode: offline" in line
