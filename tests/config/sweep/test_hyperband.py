"""The bands of early termination, compared with W&B's own `sweeps` package."""

from __future__ import annotations

import random

from runferry.config.sweep.hyperband import bands, threshold, value_to_compare


def test_bands_are_wandbs():
    assert bands({"type": "hyperband", "max_iter": 27, "s": 2}) == [3, 9]
    assert bands({"type": "hyperband", "min_iter": 3})[:4] == [3, 9, 27, 81]
    assert bands({"type": "hyperband", "min_iter": 2, "eta": 2})[:4] == [2, 4, 8, 16]


def test_a_run_is_stopped_just_when_the_sweeps_package_stops_it(ask_sweeps):
    generator = random.Random(3)
    histories = [[generator.random() for _ in range(generator.randrange(1, 30))] for _ in range(30)]
    for section in (
        {"type": "hyperband", "min_iter": 3},
        {"type": "hyperband", "max_iter": 27, "s": 3, "eta": 2},
        {"type": "hyperband", "min_iter": 2, "strict": False},
    ):
        theirs = ask_sweeps(
            """
from sweeps import stop_runs
from sweeps.run import SweepRun
histories, section = asked
runs = [
    SweepRun(name=str(n), state="running", history=[{"loss": v} for v in h]) for n, h in enumerate(histories)
]
sweep = {"method": "grid", "metric": {"name": "loss", "goal": "minimize"}, "early_terminate": section,
         "parameters": {"a": {"values": [1]}}}
answer = sorted(int(run.name) for run in stop_runs(sweep, runs))
""",
            [histories, section],
        )
        ours = []
        for number, history in enumerate(histories):
            reached = [band for band in bands(section) if band <= len(history)]
            if reached:
                values = [other[reached[-1] - 1] for other in histories if len(other) >= reached[-1]]
                if value_to_compare(history, reached[-1], section) > threshold(values, section):
                    ours.append(number)
        assert ours == theirs
        assert ours
