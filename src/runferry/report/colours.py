"""Choose the colours of the runs in a report's learning curves."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.system.values import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runferry.report.model import ExperimentReport, RunReport

# Eight colours that stay apart for people with protanopia, deuteranopia and tritanopia (CIELAB distance at
# least 14 on white and 10 on black, simulated after Machado et al. 2009), with a contrast to the page of 3
# or more.
LIGHT = ["#0072b2", "#d55e00", "#00604a", "#d0709c", "#23283c", "#8f5cf0", "#7a4a12", "#3899d0"]
DARK = ["#56b4e9", "#e69f00", "#5fcf9b", "#d9607a", "#eceaf2", "#8a70f5", "#c43fa8", "#e9df70"]
# Where colour stands for an order: steps of viridis, without the end that would vanish on the page.
LIGHT_RAMP = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#3fae62", "#6fb03a", "#98a520"]
DARK_RAMP = ["#7a6fd0", "#5f8fd8", "#3fa6c9", "#2bb8ae", "#3fc98e", "#75d567", "#b2dd45", "#fde725"]

_MOST_COLOURS = len(LIGHT)


@dataclass(frozen=True)
class Colours:
    """The colours of the runs, and their labels.

    Attributes
    ----------
    by : str or None
        The parameter that colour stands for; None when every run has its own colour, or all have one.
    labels : list of str
        What the colours stand for, one label for each colour in use.
    of_run : list of int
        For each run the index of its colour.
    ordered : bool
        Whether the colours are steps of a ramp.
    """

    by: str | None
    labels: list[str]
    of_run: list[int]
    ordered: bool = False

    def palette(self, *, dark: bool = False) -> list[str]:
        """Return the colours themselves, one for each label."""
        if not self.ordered:
            return (DARK if dark else LIGHT)[: len(self.labels)]
        ramp, count = (DARK_RAMP if dark else LIGHT_RAMP), len(self.labels)
        return [ramp[round(i * (len(ramp) - 1) / max(count - 1, 1))] for i in range(count)]


def choose_colours(report: ExperimentReport) -> Colours:
    """Choose the colours of the runs, and the parameter that they stand for.

    Up to eight runs have a colour each. More cannot be told apart by colour: then it stands for the first
    parameter that differs and has either at most eight values or is a number (whose values are put into
    eight classes of about as many runs each); the single run is found by pointing at its curve or its row.
    """
    runs = report.runs
    if len(runs) <= _MOST_COLOURS:
        return Colours(None, unique_names(runs), list(range(len(runs))))
    for name in report.differing:
        numbers = [value for run in runs if is_number(value := run.given.get(name))]
        if len(numbers) == len(runs):
            return _ordered(name, numbers)
        texts = [text_of(run.given, name) for run in runs]
        labels = list(dict.fromkeys(texts))
        if len(labels) <= _MOST_COLOURS:
            return Colours(name, labels, [labels.index(text) for text in texts])
    return Colours(None, ["all runs"], [0] * len(runs))


def _ordered(name: str, numbers: list[Any]) -> Colours:
    distinct = sorted(set(numbers))
    if len(distinct) <= _MOST_COLOURS:
        of_run = [distinct.index(number) for number in numbers]
        return Colours(name, [json.dumps(number) for number in distinct], of_run, ordered=True)
    classes = [distinct[len(distinct) * i // _MOST_COLOURS] for i in range(_MOST_COLOURS)]
    of_run = [max(i for i, least in enumerate(classes) if least <= number) for number in numbers]
    ends = [distinct[len(distinct) * (i + 1) // _MOST_COLOURS - 1] for i in range(_MOST_COLOURS)]
    labels = [f"{a:.3g}" if a == b else f"{a:.3g} to {b:.3g}" for a, b in zip(classes, ends, strict=True)]
    return Colours(name, labels, of_run, ordered=True)


def text_of(given: Mapping[str, Any], parameter: str) -> str:
    """Format a parameter's value for a user; a dash where it was not given."""
    if parameter not in given:
        return "\N{EN DASH}"
    value = given[parameter]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def unique_names(runs: list[RunReport]) -> list[str]:
    """Return each run's name, with its id where another run has the same name."""
    names = [run.name for run in runs]
    return [f"{run.name} ({run.id})" if names.count(run.name) > 1 else run.name for run in runs]


def shared_start(names: list[str]) -> int:
    """Return how many characters all names begin with, up to where a word or a value begins.

    A narrow table leaves them out: what tells the runs apart comes behind them.

    >>> shared_start(["lr=0.01 width=16", "lr=0.02 width=16"])
    3
    >>> shared_start(["lr=1e-05", "lr=1e-04"])
    3
    >>> shared_start(["digits-adam", "digits-adagrad"])
    7
    >>> shared_start(["adam", "adagrad"])
    0
    """
    if len(names) < 2:
        return 0
    first, last = min(names), max(names)
    common = first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
    # A minus is part of a value (-1, 1e-05) unless it follows a word.
    words = re.match(r".*(?:[^\w.+-]|(?<=[^\W\d])(?<!\de)-)", common, re.DOTALL)
    return words.end() if words else 0
