from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runferry.report.importance import LEAST_RUNS, importances

GRID: list[dict[str, Any]] = [
    {"rate": rate, "width": width, "optimizer": name}
    for rate in (0.001, 0.01, 0.1, 1.0)
    for width in (16, 32, 64)
    for name in ("adam", "sgd")
]


def rated(metric: list[float | None]) -> dict[str, tuple[float, float | None]]:
    found = importances(["rate", "width", "optimizer"], GRID, metric)
    return {each.parameter: (round(each.share, 2), each.correlation and round(each.correlation, 2)) for each in found}


def test_a_parameter_that_alone_decides_has_all_of_it_and_comes_first() -> None:
    found = rated([-run["rate"] for run in GRID])
    assert list(found) == ["rate", "width", "optimizer"]
    assert found == {"rate": (1.0, -1.0), "width": (0.0, 0.0), "optimizer": (0.0, None)}


def test_words_are_rated_too_without_a_direction() -> None:
    found = rated([1.0 if run["optimizer"] == "adam" else 0.0 for run in GRID])
    assert found["optimizer"] == (1.0, None)
    assert found["rate"][0] == 0.0


def test_what_rises_and_falls_again_is_important_though_not_correlated() -> None:
    found = rated([-abs(math.log10(run["rate"]) + 1.5) for run in GRID])
    assert found["rate"][0] > 0.9
    assert found["rate"][1] == pytest.approx(0.0, abs=0.01)


def test_few_runs_and_missing_values_say_nothing() -> None:
    count = LEAST_RUNS - 1
    assert rated([1.0 * i if i < count else (None if i % 2 else math.nan) for i in range(len(GRID))]) == {}
    assert rated([2.5] * len(GRID)) == {"rate": (0.0, None), "width": (0.0, None), "optimizer": (0.0, None)}


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)), min_size=20, max_size=60))
def test_shares_and_correlations_stay_in_their_bounds(pairs: list[tuple[float, float]]) -> None:
    for each in importances(["x"], [{"x": x} for x, _ in pairs], [y for _, y in pairs]):
        assert 0 <= each.share <= 1
        assert each.correlation is None or -1.0001 <= each.correlation <= 1.0001


def test_noise_is_seldom_above_what_it_is_said_to_reach() -> None:
    chance = random.Random(7)
    above = 0
    for _ in range(200):
        noise = [{"a": chance.random(), "b": chance.choice("xyz")} for _ in range(LEAST_RUNS)]
        found = importances(["a", "b"], noise, [chance.random() for _ in range(LEAST_RUNS)])
        above += any(each.share > each.chance for each in found)
    # One table in twenty is wanted, and the quantile is an approximation.
    assert above <= 20
