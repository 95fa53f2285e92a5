"""Curves that are thinned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from runferry.report.model import thin
from support.report_pages import (
    build,
    no_slurm,  # noqa: F401 - a fixture
)
from support.sample_experiment import (
    segment,
    write_segments,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_only_numbers_are_drawn(tmp_path: Path) -> None:
    run = tmp_path / "digits" / "aaaa"
    row = {"loss": 1, "text": "3", "flag": True, "list": [1], "nothing": None, "deep": {"er": 2}}
    write_segments([segment(run, "one", [row, row])])
    page = build(run.parent)
    assert [chart["name"] for chart in page.data["metrics"]] == ["loss", "deep.er"]


@given(
    values=st.lists(st.one_of(st.floats(), st.just(math.nan)), min_size=1, max_size=400),
    most=st.integers(4, 120),
)
def test_a_thinned_curve_keeps_its_ends_and_peaks(values: list[float], most: int) -> None:
    kept = thin(values, most)
    assert len(kept) <= max(most, 1)
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        shown = [values[i] for i in kept if math.isfinite(values[i])]
        assert (min(shown), max(shown)) == (min(finite), max(finite))
