"""Runs that the command had wandb write beside itself are in the run's folder when the attempt has ended."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from runferry.runs.folder import RunFolder
from runferry.trackers.wandb.folders import bring_in
from runferry.trackers.wandb.log.segment import history
from support.attempt_files import attempts_of
from support.launching import WANDB_VERSIONS, make_run, run_to_end, start, wait_for, wait_for_line

# As Lightning's WandbLogger calls it.
SCRIPT = """
import time, wandb
run = wandb.init(dir=".", resume="allow")
for _ in range(10):
    run.log({"loss": 1})
print("logged ten")
"""


def _steps(folder: RunFolder) -> list[int]:
    return [row["_step"] for segment in folder.segments() for row in history(segment)]


@pytest.mark.parametrize("version", WANDB_VERSIONS)
def test_a_run_with_a_dir_of_its_own_is_brought_into_its_folder(version, wandb_python, tmp_path):
    folder = make_run(tmp_path / "run", [str(wandb_python(version)), "-c", SCRIPT])
    code, errors = run_to_end(folder)
    assert (code, errors) == (0, "")
    assert _steps(folder) == list(range(10))
    (segment,) = folder.segments()
    assert attempts_of(folder)[0]["segments"] == [segment.name]
    assert list((tmp_path / "wandb").glob("*run-*")) == []
    assert f"brought {tmp_path / 'wandb' / segment.name} into the run's folder" in folder.log_file.read_text()


def test_where_the_launcher_was_killed_it_is_brought_in_and_the_next_attempt_goes_on_after_it(wandb_python, tmp_path):
    python = str(wandb_python("0.31.0"))
    folder = make_run(tmp_path / "run", [python, "-c", SCRIPT + "time.sleep(60)"])
    launcher = start(folder)
    wait_for_line(folder, "logged ten")
    launcher.kill()
    launcher.communicate()
    wait_for(lambda: attempts_of(folder)[0]["outcome"] != "running", "the keeper to end the attempt")
    assert _steps(folder) == list(range(10))
    make_run(tmp_path / "run", [python, "-c", SCRIPT])
    code, errors = run_to_end(folder)
    assert (code, errors) == (0, "")
    assert _steps(folder) == list(range(20))
    first, second = folder.segments()
    assert attempts_of(folder)[1]["segments"] == [second.name]
    assert first.name != second.name


def _written_beside(tmp_path: Path) -> tuple[RunFolder, Path]:
    folder = make_run(tmp_path / "run", ["true"])
    folder.wandb_folder.mkdir()
    segment = tmp_path / "wandb" / "offline-run-20260101_000000-k3j9"
    segment.mkdir(parents=True)
    (segment / "run-k3j9.wandb").write_text("records")
    return folder, segment


def test_another_runs_is_left_where_it_is(tmp_path):
    folder, segment = _written_beside(tmp_path)
    other = segment.with_name("offline-run-20260101_000000-k3j8")
    segment.rename(other)
    bring_in(folder, tmp_path, "k3j9", pytest.fail)
    assert other.is_dir()
    assert folder.segments() == []


def test_from_another_file_system_it_is_copied_whole(tmp_path, monkeypatch):
    folder, segment = _written_beside(tmp_path)
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self == segment:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    bring_in(folder, tmp_path, "k3j9", lambda _line: None)
    (there,) = folder.segments()
    assert (there / "run-k3j9.wandb").read_text() == "records"
    assert not segment.exists()


def test_what_has_a_name_that_is_taken_is_left_and_said(tmp_path):
    folder, segment = _written_beside(tmp_path)
    (folder.wandb_folder / segment.name).mkdir()
    said: list[str] = []
    bring_in(folder, tmp_path, "k3j9", said.append)
    assert segment.is_dir()
    assert said == [f"{segment} is left there: the run's folder has one of this name"]


def test_a_run_whose_folder_is_the_working_directory_is_left_alone(tmp_path):
    folder, segment = _written_beside(tmp_path)
    bring_in(RunFolder(tmp_path), tmp_path, "k3j9", pytest.fail)
    assert segment.is_dir()
    assert folder.segments() == []
