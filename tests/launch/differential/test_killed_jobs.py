"""A job that is killed at a random moment and continued loses no row of any of its W&B runs.

One job of each shape here; `PYTHONPATH=tests python -m support.differential.campaign --seeds 100` does the same with as
many as wanted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.differential.campaign import SHAPES, campaign


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_row_that_was_on_disk_arrives_once_and_in_order(tmp_path):
    found = campaign(range(len(SHAPES)), Path(sys.executable), tmp_path)
    wrong = {shape: f"{job}: {what}" for shape, (job, what) in zip(SHAPES, found.items(), strict=True) if what}
    assert not wrong
