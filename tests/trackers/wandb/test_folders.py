"""What a finished run leaves on the shared filesystem."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from runferry.runs.folder import RunFolder
from runferry.trackers.wandb.folders import remove_debug_logs, remove_empty, remove_shared_by_none, share_equal_files


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run as wandb 0.31 leaves it."""
    segment = tmp_path / "wandb" / "offline-run-20260101_000000-k3j9"
    for folder in ("files", "logs", "tmp/code"):
        (segment / folder).mkdir(parents=True)
    for file in ("run-k3j9.wandb", "run-k3j9.wandb.synced", "run-k3j9.wandb.syncstate", "files/config.yaml"):
        (segment / file).write_text("x")
    for log in ("debug.log", "debug-internal.log", "debug-core.log"):
        (segment / "logs" / log).write_text("x")
    (tmp_path / "wandb" / "latest-run").symlink_to(segment.name)
    (tmp_path / "wandb" / "debug.log").symlink_to(segment / "logs" / "debug.log")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "wandb-data").mkdir()
    (tmp_path / "train.log").touch()
    return RunFolder(tmp_path)


def names(run: RunFolder) -> set[str]:
    return {str(path.relative_to(run.path)) for path in run.path.rglob("*")}


def test_links_and_empty_folders_go(run: RunFolder) -> None:
    before = names(run)
    remove_empty(run)
    segment = f"wandb/{run.segments()[0].name}"
    gone = {"wandb/latest-run", "wandb/debug.log", "checkpoints", "wandb-data", f"{segment}/tmp", f"{segment}/tmp/code"}
    assert before - names(run) == gone


def test_what_the_user_put_somewhere_stays(run: RunFolder) -> None:
    (run.checkpoints_folder / "last.pt").touch()
    (run.data_folder / "artifacts").mkdir()
    (run.segments()[0] / "tmp" / "code" / "train.py").touch()
    remove_empty(run)
    assert {"checkpoints/last.pt", "wandb-data/artifacts"} < names(run)
    assert (run.segments()[0] / "tmp" / "code" / "train.py").exists()


def test_debug_logs_and_the_state_of_a_sync_go_with_the_receipt(run: RunFolder) -> None:
    before = names(run)
    remove_debug_logs(run)
    segment = f"wandb/{run.segments()[0].name}"
    logs = {f"{segment}/logs/{name}" for name in ("debug.log", "debug-internal.log", "debug-core.log")}
    assert before - names(run) == {*logs, f"{segment}/logs", f"{segment}/run-k3j9.wandb.syncstate"}


def test_a_run_without_a_folder_of_wandb_is_no_error(tmp_path: Path) -> None:
    remove_empty(RunFolder(tmp_path))
    remove_debug_logs(RunFolder(tmp_path))
    assert list(tmp_path.iterdir()) == []


def make_runs(experiment: Path, packages: list[str]) -> list[RunFolder]:
    runs = [RunFolder(experiment / f"run{number}") for number in range(len(packages))]
    for run, text in zip(runs, packages, strict=True):
        files = run.wandb_folder / "offline-run-20260101_000000-k3j9" / "files"
        (files / "code").mkdir(parents=True)
        (files / "requirements.txt").write_text(text)
        (files / "code" / "train.py").write_text("print()")
        (files / "config.yaml").write_text("same: everywhere")
        (files.parent / "run-k3j9.wandb.synced").touch()
    return runs


def listing(run: RunFolder) -> Path:
    return run.segments()[0] / "files" / "requirements.txt"


def test_what_is_equal_in_several_runs_becomes_one_file(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, ["numpy==1", "numpy==1", "numpy==2"])
    for run in runs * 2:
        share_equal_files(run)
    assert [listing(run).read_text() for run in runs] == ["numpy==1", "numpy==1", "numpy==2"]
    assert listing(runs[0]).samefile(listing(runs[1]))
    assert not listing(runs[0]).samefile(listing(runs[2]))
    code = [run.segments()[0] / "files" / "code" / "train.py" for run in runs]
    assert code[0].samefile(code[2])
    markers = [run.segments()[0] / "run-k3j9.wandb.synced" for run in runs]
    assert markers[0].samefile(markers[2])
    # What a run has of its own stays its own, whatever is in it.
    assert (listing(runs[0]).parent / "config.yaml").stat().st_nlink == 1
    assert not list(tmp_path.rglob("*.partial"))


def test_a_shared_file_that_was_changed_is_not_given_to_others(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, ["numpy==1", "numpy==1", "numpy==1"])
    share_equal_files(runs[0])
    listing(runs[0]).write_text("changed by hand")
    share_equal_files(runs[1])
    share_equal_files(runs[2])
    assert [listing(run).read_text() for run in runs] == ["changed by hand", "numpy==1", "numpy==1"]
    assert listing(runs[1]).samefile(listing(runs[2]))


def test_without_hard_links_all_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_path: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    runs = make_runs(tmp_path, ["numpy==1", "numpy==1"])
    for run in runs:
        share_equal_files(run)
    assert [listing(run).stat().st_nlink for run in runs] == [1, 1]
    assert listing(runs[1]).read_text() == "numpy==1"


def test_what_is_shared_by_no_run_any_more_goes(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, ["numpy==1", "numpy==2"])
    for run in runs:
        share_equal_files(run)
    shutil.rmtree(runs[0].wandb_folder)
    remove_shared_by_none(tmp_path)
    assert listing(runs[1]).stat().st_nlink == 2
    shutil.rmtree(runs[1].wandb_folder)
    remove_shared_by_none(tmp_path)
    assert not (tmp_path / ".shared").exists()
    remove_shared_by_none(tmp_path)
