"""What `runferry status` says of Slurm's queue."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runferry.report.status.look import Looking
from runferry.report.status.queue import Asking
from runferry.runs import slurm
from runferry.runs.folder import find_run_folders
from support.shown_status import (
    _no_slurm,  # noqa: F401 - a fixture
    run_of,
    shown,
    status,
)

if TYPE_CHECKING:
    pass


def squeue(tmp_path: Path, *jobs: str, exit_code: int = 0) -> Path:
    """Put a `squeue` on PATH that lists `<id>|<state>|<reason>|<rest of the plugin's comment>`; return its calls."""
    script = tmp_path / "bin" / "squeue"
    listed = [f"{job}|{tmp_path}".replace("|train_", "|rule_train_") for job in jobs]
    printed = "".join(f"echo '{line}'\n" for line in listed)
    script.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n{printed}exit {exit_code}\n')
    script.chmod(0o755)
    return tmp_path / "asked"


def test_the_queue_says_what_runs_and_why_the_rest_waits(experiment: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        run_of(experiment, name, None)
    other = run_of(tmp_path / "results" / "digits_2", "z", None)
    squeue(
        tmp_path,
        "1|RUNNING|None|train_wildcards_digits_a",
        "2|PENDING|Priority|train_wildcards_digits_b",
        "3|PENDING|Priority|train_pack_wildcards_digits_k3j9",
        "4|PENDING|ReqNodeNotAvail, UnavailableNodes:nc[1-3]|train_wildcards_digits_d",
        "5|PENDING|Unheard|train_wildcards_digits_2_z",
        "6|PENDING|Priority|rule_other_wildcards_digits_a",
        "7|FAILED|None|train_wildcards_digits_c",
        "8|PENDING|Resources|",
    )
    text = shown(experiment)
    assert (
        "queue: 1 running, 4 waiting: 2 Priority (jobs of a higher priority come first), 1 ReqNodeNotAvail, "
        "UnavailableNodes:nc[1-3] (the nodes that it could have are down or reserved, as for maintenance), 1 Unheard"
    ) in text
    found = {each["name"]: each["jobs"] for each in status(experiment).as_json()["experiments"]}
    assert [job["of"] for job in found["digits"]] == ["a", "b", "k3j9", "d"]
    assert [job["of"] for job in found[other.parent.name]] == ["z"]


def test_the_jobs_of_another_folder_are_not_counted(experiment: Path, tmp_path: Path) -> None:
    run_of(experiment, "a", None)
    squeue(tmp_path, "1|RUNNING|None|train_wildcards_digits_a|/elsewhere")
    assert "queue: no job of these experiments" in shown(experiment)


def test_a_run_whose_job_is_gone_without_a_word_is_lost(experiment: Path, tmp_path: Path) -> None:
    run_of(experiment, "a", "running", host="elsewhere", pid=1, job="17")
    assert dict(status(experiment).states) == {"running": 1}, "nobody can say without Slurm"
    squeue(tmp_path)
    text = shown(experiment)
    assert "lost: digits/a (lr=a)" in text
    squeue(tmp_path, "17|RUNNING|None|train_wildcards_digits_a")
    assert dict(status(experiment).states) == {"running": 1}


@pytest.mark.parametrize(
    ("exit_code", "said"), [(None, "there is no Slurm on this machine"), (1, "Slurm does not answer")]
)
def test_it_works_without_slurm_and_says_so(exit_code: int | None, said: str, experiment: Path, tmp_path: Path) -> None:
    run_of(experiment, "a", "running", host="elsewhere", pid=1, job="17")
    if exit_code is not None:
        squeue(tmp_path, exit_code=exit_code)
    assert said in shown(experiment)
    found = status(experiment)
    assert dict(found.states) == {"running": 1}
    assert found.as_json()["slurm"] == {"here": exit_code is not None, "answered": False}


def test_slurm_is_not_asked_again_before_half_a_minute_is_over(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(experiment, "a", None)
    asked = squeue(tmp_path)
    looking = Looking(asking=Asking(interval=0.1))
    for _ in range(5):
        looking.look(find_run_folders(experiment))
    assert len(asked.read_text().splitlines()) == 1
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 31)
    looking.look(find_run_folders(experiment))
    assert len(asked.read_text().splitlines()) == 2


def test_squeue_is_asked_for_the_reason(tmp_path: Path) -> None:
    squeue(tmp_path, "1|PENDING|QOSMaxJobsPerUserLimit|train_wildcards_digits_a")
    [job] = slurm.queued_jobs() or []
    assert (job.reason, job.comment, job.folder) == (
        "QOSMaxJobsPerUserLimit",
        "rule_train_wildcards_digits_a",
        str(tmp_path),
    )
