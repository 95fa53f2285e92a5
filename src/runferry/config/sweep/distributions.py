"""Compute values of W&B's distributions in pure Python, since a config must be parsed quickly.

Each is the quantile function that `sweeps` 0.3.0 has (`HyperParameter.ppf`, on numpy and scipy); a test compares them.
So a value drawn here is as likely as one that W&B's server would draw.
"""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

from runferry.config.sweep.parameter import Parameter, Parameters, nested

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_LEAST = 2.0**-54
"""Where a distribution has no end, the least of what a random number is taken for."""


def value_at(parameter: Parameter, probability: float) -> Any:
    """Return the quantile of a parameter's distribution at `probability`, in [0, 1).

    Numbers are rounded to 12 digits: what `exp` and `log` give differs between machines in the last ones, and a run's
    id is a hash of its parameters.
    """
    settings = parameter.settings
    match parameter.distribution:
        case "constant":
            return settings["value"]
        case "categorical":
            return settings["values"][int(probability * len(settings["values"]))]
        case "categorical_w_probabilities":
            return _weighted(settings["values"], settings["probabilities"], probability)
        case "int_uniform":
            low, high = settings["min"], settings["max"]
            return low + int(probability * (high - low + 1))
        case _:
            value = _continuous(parameter.distribution.removeprefix("q_"), settings, max(probability, _LEAST))
            return _quantized(value, settings["q"]) if "q" in settings else _rounded(value)


def _weighted(values: list[Any], probabilities: list[float], probability: float) -> Any:
    total = 0.0
    for value, one in zip(values, probabilities, strict=True):
        total += one
        if probability < total:
            return value
    # Their sum may be a little less than 1.
    return values[0]


def _continuous(kind: str, settings: Mapping[str, Any], probability: float) -> float:
    if kind in {"normal", "log_normal"}:
        value = settings["mu"] + settings["sigma"] * _standard_normal(probability)
        return math.exp(value) if kind == "log_normal" else value
    if kind == "beta":
        return _beta(settings["a"], settings["b"], probability)
    low, high = settings["min"], settings["max"]
    if kind.endswith("_values"):
        low, high = math.log(low), math.log(high)
    if kind == "inv_log_uniform":
        # Of exponents, W&B's inverse runs from exp(-max) to exp(-min).
        return math.exp(-(low + (1 - probability) * (high - low)))
    value = low + probability * (high - low)
    return value if kind == "uniform" else math.exp(value)


def _standard_normal(probability: float) -> float:
    # Not at the top: its import costs some milliseconds, and few sweeps need it.
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def _beta(a: float, b: float, probability: float) -> float:
    low, high = 0.0, 1.0
    # Each halves what is left, down to the last digit of a float.
    for _ in range(64):
        middle = (low + high) / 2
        if _beta_below(a, b, middle) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_below(a: float, b: float, x: float) -> float:
    """Compute the regularized incomplete beta function, by its continued fraction (Numerical Recipes, section 6.4)."""
    if x in {0.0, 1.0}:
        return x
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x),
    )
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    result = d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return result


def _quantized(value: float, step: float) -> float:
    steps = round(value / step)
    # As in W&B's, a step that is a whole number makes whole numbers.
    return steps * step if isinstance(step, int) else _rounded(steps * step)


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")


_DRAWS_PER_RUN = 20
"""Of a point that was not drawn before; then there may be no more of them."""


def grid(parameters: Sequence[Parameter], where: str) -> Iterator[Parameters]:
    """Yield every point of a grid: all combinations, the last parameter changing fastest, as in W&B's own order.

    Raises
    ------
    ConfigError
        When a parameter has no values that can be counted.
    """
    places = [f"{where}: parameters.{parameter.name}" for parameter in parameters]
    values = [parameter.grid_values(place) for parameter, place in zip(parameters, places, strict=True)]
    counts = [parameter.grid_count(place) for parameter, place in zip(parameters, places, strict=True)]
    # Not itertools.product, which lists all values of each first.
    for number in range(math.prod(counts)):
        rest, point = number, list[Any]()
        for its_values, count in zip(reversed(values), reversed(counts), strict=True):
            rest, place = divmod(rest, count)
            point.append(its_values[place])
        yield nested(parameters, point[::-1])


def at_random(parameters: Sequence[Parameter], count: int, seed: int) -> Iterator[Parameters]:
    """Yield `count` random points, each once; fewer where no more exist.

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
