"""Runs whose status is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runferry.report.status.look import Looking
from runferry.report.status.text import Style, lines
from runferry.runs.folder import find_run_folders
from runferry.runs.receipt_stamp import logs_on_disk, stamp
from support.sample_experiment import write_attempt, write_log_of, write_receipt, write_run

if TYPE_CHECKING:
    pass


ROWS = [{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.75}]
SERVER = "http://127.0.0.1:1"
PLAIN = Style(colours=False)


@pytest.fixture(autouse=True)
def _no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A laptop; a test that wants a queue makes one."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("CC_CLUSTER", "SCRATCH", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    return tmp_path / "results" / "digits"


def run_of(experiment: Path, name: str, outcome: str | None, rows: list[dict[str, Any]] = ROWS, **more: Any) -> Path:
    """A run with one segment of `rows` whose last attempt ended as `outcome`; None for one that never began."""
    folder = experiment / name
    wandb = {"project": "digits", "base_url": SERVER}
    write_run(folder, f"lr={name}", {}, wandb=wandb)
    if outcome:
        write_attempt(folder, 1, outcome, **more)
        write_log_of(folder, rows)
    return folder


def with_receipt(folder: Path, history_lines: int = len(ROWS)) -> None:
    """The server holds just what is on disk now."""
    logs = logs_on_disk(str(folder))
    entries = [{"name": name, **stamp(file)} for name, file in logs.items()]
    counted = {"history_lines": history_lines}
    write_receipt(folder, base_url=SERVER, segments=entries, unreadable={}, server=counted)


def status(experiment: Path, **options: Any) -> Any:
    return Looking(**options).look(find_run_folders(experiment.parent))


def shown(experiment: Path, **options: Any) -> str:
    return "\n".join(lines(status(experiment, **options), PLAIN))
