"""Files that a command left, brought back from the node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runferry.launch.collect import collect_files
from support.attempt_files import attempts_of
from support.launching import make_run, run_to_end, start, wait_for_line


@pytest.mark.parametrize("ending", ["exit 3", "kill -9 $$"])
def test_what_a_failed_command_left_is_brought_back_too(tmp_path: Path, ending: str) -> None:
    folder = make_run(tmp_path / "run", ["sh", "-c", f'echo 1 >"$RUNFERRY_DATA/epoch.pt"; {ending}'], collect=["*.pt"])
    assert run_to_end(folder)[0] != 0
    assert (folder.collected_folder / "epoch.pt").read_text() == "1\n"


def test_after_the_warning_signal_it_is_brought_back(tmp_path: Path) -> None:
    code = "trap 'echo last >\"$RUNFERRY_DATA/last.pt\"; exit 0' USR1; echo ready; while :; do sleep 0.05; done"
    folder = make_run(tmp_path / "run", ["sh", "-c", code], collect=["*.pt"])
    launcher = start(folder)
    wait_for_line(folder, "ready")
    launcher.send_signal(signal.SIGUSR1)
    launcher.communicate(timeout=60)
    assert (folder.collected_folder / "last.pt").read_text() == "last\n"


def test_what_cannot_be_brought_back_fails_the_run(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", ["sh", "-c", 'echo 1 >"$RUNFERRY_DATA/a.pt"'], collect=["*.pt"])
    folder.collected_folder.write_text("a file in the way of the folder")
    code, errors = run_to_end(folder)
    assert code == 1
    assert "not collected: a.pt: " in errors
    assert attempts_of(folder)[0]["outcome"] == "failed"
    assert not folder.trained_file.exists()


def test_each_node_of_a_run_brings_its_files_to_a_place_of_its_own(tmp_path: Path) -> None:
    folder = make_run(
        tmp_path / "run", ["sh", "-c", 'echo "$SLURM_NODEID" >"$RUNFERRY_DATA/shard.pt"'], collect=["*.pt"]
    )
    for node in ("0", "1", "2"):
        variables = {**os.environ, "SLURM_NODEID": node, "RUNFERRY_ATTEMPT": "1"}
        command = [sys.executable, "-m", "runferry", "launch-nodes", "--node", str(folder.path)]
        subprocess.run(command, env=variables, check=True, stdout=subprocess.DEVNULL)
    places = [folder.collected_folder, folder.path / "nodes/1/collected", folder.path / "nodes/2/collected"]
    assert [(place / "shard.pt").read_text() for place in places] == ["0\n", "1\n", "2\n"]


def test_collected_files_are_the_newest_first_and_staged_ones_stay_where_they_came_from(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "target"
    (data / "outputs" / "deep").mkdir(parents=True)
    for age, name in enumerate(["outputs/a.pt", "outputs/deep/b.pt"]):
        (data / name).write_text(name)
        os.utime(data / name, (10**9 - age, 10**9 - age))
    (tmp_path / "staged").mkdir()
    (tmp_path / "staged" / "big.pt").touch()
    (data / "imagenet").symlink_to(tmp_path / "staged")
    said: list[str] = []
    assert collect_files(["outputs", "**/*.pt", "imagenet/*"], data, target, said.append) == []
    found = sorted(str(file.relative_to(target)) for file in target.rglob("*") if file.is_file())
    assert found == ["outputs/a.pt", "outputs/deep/b.pt"]
    assert (target / "outputs/a.pt").stat().st_mtime == 10**9
