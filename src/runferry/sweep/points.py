"""The points of a sweep that are known beforehand: all of a grid, or so many that are drawn at random."""

from __future__ import annotations

import itertools
import json
import random
from typing import TYPE_CHECKING

from runferry.sweep.distributions import value_at
from runferry.sweep.parameter import Parameter, Parameters, nested

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DRAWS_PER_RUN = 20
"""Of a point that was not drawn before; then there may be no more of them."""


def grid(parameters: Sequence[Parameter], where: str) -> Iterator[Parameters]:
    """Give every point of a grid: all combinations, the last parameter turning fastest, as W&B's own order is.

    Raises
    ------
    ConfigError
        When a parameter has no values that can be counted.
    """
    values = [parameter.grid_values(f"{where}: parameters.{parameter.name}") for parameter in parameters]
    for point in itertools.product(*values):
        yield nested(parameters, point)


def at_random(parameters: Sequence[Parameter], count: int, seed: int) -> Iterator[Parameters]:
    """Draw `count` points, each once: fewer where there are no more.

    The same seed gives the same points on every machine, and a higher count those of a lower one and more. (Python
    promises that `random()` gives the same numbers for the same seed in every version.)
    """
    generator = random.Random(seed)
    seen: set[str] = set()
    for _ in range(count):
        for _ in range(_DRAWS_PER_RUN):
            point = nested(parameters, [value_at(parameter, generator.random()) for parameter in parameters])
            key = json.dumps(point, sort_keys=True)
            if key not in seen:
                seen.add(key)
                yield point
                break
