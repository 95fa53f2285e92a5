"""Whether an environment fits, also where the node's disk is memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runferry.errors import PackingError
from runferry.system import disk_space


@pytest.mark.parametrize(
    ("line", "folder", "files"),
    [
        ("0::/slurm/job_7/step_0", "slurm/job_7", {"memory.max": "3000000\n", "memory.current": "1000000\n"}),
        (
            "5:cpu,memory:/slurm/job_7/step_0",
            "memory/slurm/job_7",
            {"memory.limit_in_bytes": "3000000\n", "memory.usage_in_bytes": "1000000\n"},
        ),
    ],
    ids=["cgroup v2", "cgroup v1"],
)
def test_the_job_s_limit_counts_not_the_node_s_memory(
    tmp_path: Path, line: str, folder: str, files: dict[str, str]
) -> None:
    own = tmp_path / "own"
    own.write_text(f"12:devices:/x\n{line}\n")
    (tmp_path / "top" / folder / "step_0").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "top" / folder / name).write_text(text)
    assert disk_space.free_memory(tmp_path / "top", own) == 2_000_000


def test_without_a_limit_the_node_s_memory_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n")
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    assert disk_space.free_memory(tmp_path, own) > 10**6


def test_what_does_not_fit_into_the_job_s_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "filesystem_of", lambda _folder: "tmpfs")
    monkeypatch.setattr(disk_space, "free_memory", lambda: 300_000_000)
    with pytest.raises(PackingError) as error:
        disk_space.check_room(tmp_path, 500_000_000, "the environment")
    assert str(error.value) == (
        f"{tmp_path}: 200 MB too little room for the environment: found 300 MB free, expected 500 MB; it is in "
        "memory, and counts as the job's: ask for more memory"
    )
    disk_space.check_room(tmp_path, 299_000_000, "the environment")


def test_too_few_inodes_are_said(tmp_path: Path) -> None:
    with pytest.raises(PackingError, match=r"too few inodes for the environment: found \d+ free, expected \d+"):
        disk_space.check_room(tmp_path, 1, "the environment", inodes=sys.maxsize)


def test_the_type_of_a_filesystem_is_known() -> None:
    assert disk_space.filesystem_of(Path("/proc")) == "proc"
