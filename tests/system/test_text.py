"""Numbers and times as a person reads and writes them."""

from __future__ import annotations

import pytest

from runferry.system import text


@pytest.mark.parametrize(("minutes", "words"), [(15, "15m"), (60, "1h"), (90, "1h30m"), (10080, "7d"), (1441, "1d1m")])
def test_times_are_written_as_in_a_config(minutes, words):
    assert text.time_in_words(minutes) == words
