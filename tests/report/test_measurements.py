"""What wandb's segments hold, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runferry.report.measurements import Measuring
from runferry.trackers.wandb.log.segment import read_segment
from support.report_pages import no_slurm  # noqa: F401 - a fixture
from support.sample_experiment import (
    segment,
    write_segments,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_segment_of_wandbs_own_is_read_column_by_column(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    write_segments([segment(run, "one", [{"loss": 1.0, "deep": {"er": 2}}, {"loss": "text"}])])
    measuring = Measuring()
    assert read_segment(next(run.glob("wandb/offline-run-*")), measuring.add).history_count == 2
    measured = measuring.measurements()
    assert measured.steps == [0, 1]
    assert measured.columns == {"loss": ([0, 1], [1, "text"]), "deep.er": ([0], [2])}
    assert measured.times == sorted(measured.times)
    assert 0 < measured.began <= measured.times[0]
