"""Segments that are read once and read on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runferry.report.status import segments
from runferry.report.status.look import Looking
from runferry.runs.folder import RunFolder, find_run_folders
from runferry.system.files import read_json
from runferry.trackers.wandb.log import tail
from support.sample_experiment import write, write_log_of
from support.shown_status import (
    ROWS,
    _no_slurm,  # noqa: F401 - a fixture
    run_of,
    shown,
    status,
    with_receipt,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_last_value_is_found_at_the_end_of_a_long_log_without_reading_its_beginning(
    experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"epoch": 1.0}, *({"loss": 1.0 / (1 + step)} for step in range(4000)), {"accuracy": 0.9}]
    folder = RunFolder(run_of(experiment, "a", "finished", rows))
    assert segments.last_value(folder, "accuracy") == 0.9
    assert segments.last_value(folder, "loss") == 1.0 / 4000
    assert segments.last_value(folder, "epoch") == 1.0
    monkeypatch.setattr(segments, "_BLOCKS", (1,))
    assert segments.last_value(folder, "epoch") is None, "it is before the last block"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int]]:
    """Each reading of a log for its rows, with the byte that it began at."""
    found: list[tuple[Path, int]] = []

    class Counted(tail.LogTail):
        def __iter__(self) -> Any:
            found.append((self.path, self.position))
            return super().__iter__()

    monkeypatch.setattr(segments, "LogTail", Counted)
    return found


def test_what_has_not_changed_is_not_read_again(experiment: Path, reads: list[tuple[Path, int]]) -> None:
    run_of(experiment, "a", "finished")
    with_receipt(run_of(experiment, "b", "finished"))
    assert status(experiment).as_json()["unsynced_rows"] == 2
    assert [file.parent.parent.parent.name for file, _ in reads] == ["a"], "a run with a receipt is not read"
    assert status(experiment).as_json()["unsynced_rows"] == 2
    assert len(reads) == 1, "not in a process of its own, either"


def test_of_a_log_that_has_grown_only_the_new_part_is_read(experiment: Path, reads: list[tuple[Path, int]]) -> None:
    folder = run_of(experiment, "a", "running", [*ROWS, *ROWS], host="elsewhere", pid=1)
    [log] = folder.glob("wandb/*/*.wandb")
    whole = log.read_bytes()
    log.write_bytes(whole[:-40])
    looking = Looking()
    first = looking.look(find_run_folders(experiment)).as_json()["unsynced_rows"]
    log.write_bytes(whole)
    second = looking.look(find_run_folders(experiment))
    assert (first, second.as_json()["unsynced_rows"]) == (3, 4)
    assert reads[0][1] == 0
    assert reads[1][1] > 0
    assert not second.damaged, "a record that is being written is no damage"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: whole[:-5], "the end is cut off"),
        (lambda whole: b"", "no record in 0 bytes"),
        (lambda whole: whole[:7], "no record in 7 bytes"),
        (lambda whole: b"something else", "not a W&B transaction log"),
        (lambda whole: whole[:60] + b"xxxx" + whole[64:], "unreadable in"),
    ],
)
def test_damaged_segments_are_named_at_every_look(
    content: Callable[[bytes], bytes], said: str, experiment: Path
) -> None:
    folder = run_of(experiment, "a", "failed", reason="killed")
    [log] = folder.glob("wandb/*/*.wandb")
    log.write_bytes(content(log.read_bytes()))
    for _ in range(2):
        assert said in status(experiment).damaged[str(log.parent)]
    assert f"damaged: {log.parent}: " in shown(experiment)


def test_rows_that_live_sync_has_sent_are_not_unsynced(experiment: Path) -> None:
    folder = run_of(experiment, "a", "running", host="elsewhere", pid=1)
    write(folder / "live.json", {"format": 1, "rows": 1})
    assert [run.unsynced_rows for run in status(experiment).runs] == [1]


def test_what_was_deleted_after_the_server_had_it_is_not_unsynced_nor_does_it_hide_what_is(experiment: Path) -> None:
    folder = run_of(experiment, "a", "failed", reason="failed")
    with_receipt(folder, history_lines=10)
    cleaned = dict.fromkeys(("date", "run_id", "entity", "project", "state"), "x")
    counts = {"history_lines": 10, "last_step": 9, "event_lines": 0, "output_lines": 0}
    write(
        folder / "cleaned.json",
        {**cleaned, **counts, "summary": {}, "config": {}, "segments": [], "files": [], "artifacts": []},
    )
    write_log_of(folder, ROWS[:1], start=1772359300.0)
    assert [run.unsynced_rows for run in status(experiment).runs] == [len(ROWS) + 1]


def test_what_is_kept_between_two_looks_is_small(experiment: Path) -> None:
    run_of(experiment, "a", "finished")
    status(experiment)
    kept = read_json(experiment.parent / ".sync" / "status.json")
    assert len(kept["segments"]) == 1
