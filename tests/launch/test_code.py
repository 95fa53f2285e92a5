"""The code that an attempt runs: recorded as it is, or a snapshot of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runferry.launch.code import VARIABLE
from runferry.runs.code import take_state, write_state
from runferry.runs.code_snapshot import pin
from support.attempt_files import attempts_of
from support.launching import lines, make_run, run_to_end

TRAIN = """
import os, pathlib, helper
print("helper", helper.V, os.environ.get("RUNFERRY_CODE"), pathlib.Path("data/x").read_text())
pathlib.Path("model.pt").write_text("weights")
pathlib.Path("logs/new").write_text("there")
with open("train.py", "a") as own:
    own.write("# changed by the run\\n")
"""


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in {"train.py": TRAIN, "helper.py": "V = 1\n", "data/x": "d", "logs/old": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _run(workdir: Path, **more: object):
    folder = workdir / "results" / "e" / "r"
    return make_run(folder, ["python", "train.py"], workdir=str(workdir), **more)


def test_an_attempt_names_the_code_that_it_ran(workdir: Path):
    folder = _run(workdir)
    state = take_state(workdir)
    assert state is not None
    noted = write_state(workdir / "results", state)
    told = {VARIABLE: json.dumps({str(workdir): str(noted)})}
    assert run_to_end(folder, told)[0] == 0
    first = attempts_of(folder)[0]["code"]
    assert first == state.as_record(pinned=False).to_json()
    assert (folder.path / first["state"]).resolve() == noted.resolve()
    assert "helper 1 None d" in lines(folder)
    # The run has changed its own script, and the user another file: what it is now, and that it is another.
    (workdir / "helper.py").write_text("V = 2\n")
    assert run_to_end(folder, told)[0] == 0
    second = attempts_of(folder)[1]["code"]
    assert second["digest"] != first["digest"]
    assert (folder.path / second["state"]).is_file()
    assert "runferry: code: helper.py, train.py changed since this job was submitted" in lines(folder)


def test_a_pinned_run_has_the_files_of_the_snapshot_and_all_else_of_the_folder(workdir: Path):
    folder = _run(workdir, code="pinned")
    state = pin(workdir / "results", workdir)
    noted = workdir / "results" / ".code" / f"{state.key}.json"
    for name in ("helper.py", "train.py"):
        (workdir / name).write_text("raise SystemExit('edited while it was queued')\n")
    assert run_to_end(folder, {VARIABLE: json.dumps({str(workdir): str(noted)})})[0] == 0, lines(folder)
    assert "helper 1 None d" in lines(folder)
    assert attempts_of(folder)[0]["code"] == state.as_record(pinned=True).to_json()
    # What it wrote beside its script is kept, a folder that is no code is the user's own; no file there has changed.
    assert (folder.collected_folder / "model.pt").read_text() == "weights"
    assert (folder.collected_folder / "train.py").read_text().endswith("# changed by the run\n")
    assert (workdir / "logs" / "new").read_text() == "there"
    assert not (workdir / "model.pt").exists()
    assert (workdir / "train.py").read_text().startswith("raise SystemExit")


def test_a_pinned_run_without_a_snapshot_says_that_it_has_none(workdir: Path):
    folder = _run(workdir, code="pinned")
    assert run_to_end(folder)[0] == 0
    assert any("code: pinned, but no snapshot was taken" in line for line in lines(folder))
    assert attempts_of(folder)[0]["code"]["pinned"] is False
