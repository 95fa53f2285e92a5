"""What a finished run leaves on the shared filesystem."""

from __future__ import annotations

from pathlib import Path

import pytest

from runferry.leftovers import remove_debug_logs, remove_empty
from runferry.run_folder import RunFolder


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
