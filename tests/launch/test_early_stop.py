"""A run that is worse than its siblings at a band is stopped, and counts as trained."""

from __future__ import annotations

import json

import pytest

from runferry.config.sweep.hyperband import bands
from runferry.trackers.wandb.log.segment import read_segment
from support.attempt_files import attempts_of
from support.launching import WANDB_VERSIONS, make_run, run_to_end

# Its arguments: how many rows, the seconds after each, how many bytes of text in each.
TRAINING = """
import sys, time, wandb
rows, pause, size = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
run = wandb.init()
for step in range(rows):
    run.log({"loss": 5.0, "text": "x" * size})
    time.sleep(pause if step > 5 else 0)
"""

SECTION = {"metric": {"name": "loss", "goal": "minimize"}, "hyperband": {"type": "hyperband", "min_iter": 3}}


def _sibling(folder, name: str, value: float) -> None:
    (folder / name).mkdir()
    (folder / name / "early-terminate.json").write_text(
        json.dumps({"metric": "loss", "bands": dict.fromkeys(map(str, bands(SECTION["hyperband"])), value)})
    )


@pytest.mark.parametrize("version", WANDB_VERSIONS)
def test_a_run_worse_than_its_siblings_is_stopped_and_counts_as_trained(tmp_path, wandb_python, version):
    for number, value in enumerate((0.1, 0.2, 0.3)):
        _sibling(tmp_path, f"other{number}", value)
    # Before 0.31 rows reach the disk in blocks of 32 KiB.
    size = "0" if version == "0.31.0" else "4000"
    command = [str(wandb_python(version)), "-c", TRAINING, "600", "0.05", size]
    folder = make_run(tmp_path / "k3j9", command, early_terminate=SECTION)
    status, said = run_to_end(folder)
    assert status == 0
    assert "stopped early by hyperband: loss was 5 after" in said
    assert folder.trained_file.exists()
    (attempt,) = attempts_of(folder)
    assert (attempt["outcome"], attempt["wandb"]) == ("finished", version)
    segment = read_segment(folder.segments()[0])
    assert segment.exit_code == 0, "W&B will show it as finished"
    assert segment.damage is None
    assert 3 <= segment.history_count < 600
    assert json.loads((folder.path / "early-terminate.json").read_text())["bands"]["3"] == 5.0


def test_before_0_31_a_run_that_logs_little_is_not_stopped_and_loses_nothing(tmp_path, wandb_python):
    _sibling(tmp_path, "other", 0.1)
    command = [str(wandb_python("0.27.2")), "-c", TRAINING, "40", "0.2", "0"]
    folder = make_run(tmp_path / "k3j9", command, early_terminate=SECTION)
    assert run_to_end(folder)[0] == 0
    assert read_segment(folder.segments()[0]).history_count == 40
    assert not (folder.path / "early-terminate.json").exists()
