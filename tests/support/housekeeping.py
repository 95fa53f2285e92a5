"""Synced runs."""

from __future__ import annotations

import pytest

from runferry.runs.folder import RunFolder
from runferry.sync.engine import sync
from support.limits import within

QUICK = within(2, 60)


@pytest.fixture
def runs(written, tmp_path) -> list[RunFolder]:
    return written.copied_to(tmp_path / "results")


def synced(runs):
    assert [outcome.problem for outcome in sync(runs, QUICK)] == [None] * len(runs)
