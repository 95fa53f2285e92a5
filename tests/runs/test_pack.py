"""What is on the disk of runs that share a job."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from runferry.errors import LaunchError
from runferry.runs.folder import RunFolder
from runferry.runs.pack import folders_of_pack, read_pack, settle_run
from support.launching import make_run
from support.packs import PackOf


def test_a_run_that_was_trained_is_settled(tmp_path):
    folder = make_run(tmp_path / "a" / "run0", ["true"], id="run0")
    folder.finished_file.write_text('{"run": "run0"}')
    settle_run(folder)
    assert folder.trained_file.read_text() == '{"run": "run0"}'
    # Where Snakemake has removed it before the rule.
    folder.trained_file.unlink()
    _attempt(folder, outcome="finished", exit_code=0, segments=["offline-run-1"])
    settle_run(folder)
    trained = json.loads(folder.trained_file.read_text())
    assert trained == {**folder.attempts()[0].to_json(), "run": "run0"}
    assert (trained["attempt"], trained["segments"], trained["end"]) == (1, ["offline-run-1"], "2026-03-01")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"outcome": "failed", "exit_code": 3, "message": "out of memory."},
            "failed, exit code 3: out of memory. Log: ",
        ),
        ({"outcome": "killed", "signal": "SIGKILL"}, "attempt 1 ended by SIGKILL. Log: "),
        ({"outcome": "running"}, "attempt 1 has not said how it ended. Log: "),
    ],
)
def test_a_run_that_was_not_trained_is_not_settled_and_the_reason_is_one_line(tmp_path, record, said):
    folder = make_run(tmp_path / "a" / "run0", ["true"], id="run0")
    with pytest.raises(LaunchError, match="run run0: found no attempt"):
        settle_run(folder)
    _attempt(folder, **record)
    with pytest.raises(LaunchError) as caught:
        settle_run(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not folder.trained_file.exists()


def _attempt(folder: RunFolder, **record) -> None:
    file = folder.attempts_folder / "1.json"
    file.parent.mkdir(exist_ok=True)
    nothing = {"exit_code": None, "signal": None, "message": None, "segments": [], "end": "2026-03-01"}
    file.write_text(json.dumps({"attempt": 1, **nothing, **record}))


def test_a_folder_that_is_no_packs_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "runferry", "launch-pack", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"runferry: {tmp_path}: found no runs.json of a pack in it, expected results/")
    assert done.stderr.count("\n") == 1


def test_a_pack_names_its_runs_folders(tmp_path):
    pack = PackOf(tmp_path, "true", "true")
    made = read_pack(pack.folder)
    assert folders_of_pack(pack.folder, made) == pack.runs
