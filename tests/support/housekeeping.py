"""Synced runs."""

from __future__ import annotations

import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from runferry.sync.outcome import Limits

QUICK = Limits(patience=2, deadline=60, settle=0.1)


@pytest.fixture
def runs(written, tmp_path) -> list[RunFolder]:
    return written.copied_to(tmp_path / "results")


def synced(runs):
    assert [outcome.problem for outcome in sync(runs, QUICK)] == [None] * len(runs)
