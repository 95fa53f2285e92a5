"""Rate the parameters of a sweep by their association with a metric."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from runferry.system.values import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST_RUNS = 20
"""With fewer runs than that nothing is said: pure noise had a share of 0.4 with 6."""
_SELDOM = 0.05
"""Where no parameter matters, some share of the table is above its `chance` in one of 20 tables."""
_GROUPS = 5
"""Numbers with more values than that are put into as many groups of about equal size."""


@dataclass(frozen=True)
class Importance:
    """The association of one parameter, looked at alone, with a metric.

    Attributes
    ----------
    parameter : str
    share : float
        The share of the variance of the metric's ranks that lies between the parameter's values, less what chance
        alone would give (epsilon squared of the Kruskal-Wallis test), from 0 to 1.
    correlation : float or None
        Spearman's rank correlation; None where the parameter's values are no numbers.
    runs : int
        Runs that have both.
    chance : float
        The share that a parameter of pure noise may well have; a smaller one says nothing.
    """

    parameter: str
    share: float
    correlation: float | None
    runs: int
    chance: float = 0.0


def importances(
    parameters: Sequence[str], given: Sequence[Mapping[str, Any]], metric: Sequence[float | None]
) -> list[Importance]:
    """Rate parameters by their association with the last value of a metric, the most important first.

    Ranks are used in place of values: they do not ask whether a metric or a parameter is better seen on a logarithmic
    scale, and one run that went astray does not decide. What several parameters do only together is not seen.

    Parameters
    ----------
    given
        What each run was given, by parameter.
    metric
        Each run's last value; None or NaN where it has none.
    """
    found: list[Importance] = []
    for name in parameters:
        pairs = [
            (values[name], value)
            for values, value in zip(given, metric, strict=True)
            if name in values and value is not None and not math.isnan(value)
        ]
        if len(pairs) < LEAST_RUNS:
            continue
        ranked = _ranks([value for _, value in pairs])
        chosen = [value for value, _ in pairs]
        numbers = all(map(is_number, chosen))
        groups = _groups(chosen, numbers=numbers)
        correlation = _correlation(_ranks(chosen), ranked) if numbers else None
        chance = _chance(len(set(groups)), len(pairs), _SELDOM / len(parameters))
        found.append(Importance(name, _share(groups, ranked), correlation, len(pairs), chance))
    return sorted(found, key=lambda each: -each.share)


def _groups(values: Sequence[Any], *, numbers: bool) -> list[int]:
    texts = [value if numbers else json.dumps(value, sort_keys=True) for value in values]
    distinct = sorted(set(texts)) if numbers else list(dict.fromkeys(texts))
    if not numbers or len(distinct) <= _GROUPS:
        index = {value: i for i, value in enumerate(distinct)}
        return [index[text] for text in texts]
    ranked = _ranks(values)
    return [min(int((rank - 1) * _GROUPS / len(values)), _GROUPS - 1) for rank in ranked]


def _share(groups: Sequence[int], ranked: Sequence[float]) -> float:
    count, mean = len(ranked), (len(ranked) + 1) / 2
    total = sum((rank - mean) ** 2 for rank in ranked)
    members: dict[int, list[float]] = {}
    for group, rank in zip(groups, ranked, strict=True):
        members.setdefault(group, []).append(rank)
    if not total or len(members) >= count:
        return 0.0
    between = sum(len(ranks) * (sum(ranks) / len(ranks) - mean) ** 2 for ranks in members.values())
    within = (total - between) / (count - len(members))
    return min(max((between - (len(members) - 1) * within) / total, 0.0), 1.0)


def _chance(groups: int, runs: int, seldom: float) -> float:
    """Return the share that noise exceeds with the probability `seldom`.

    The statistic of Kruskal and Wallis is about chi-squared with one degree of freedom less than there are groups;
    its quantile by the cube of Wilson and Hilferty.
    """
    freedom = groups - 1
    if freedom < 1 or runs <= groups:
        return 1.0
    part = 2 / (9 * freedom)
    quantile = freedom * (1 - part + NormalDist().inv_cdf(1 - seldom) * math.sqrt(part)) ** 3
    between = min(quantile / (runs - 1), 1.0)
    return max(between - freedom * (1 - between) / (runs - groups), 0.0)


def _ranks(values: Sequence[float]) -> list[float]:
    """Rank from 1; equal values share their mean rank."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    begin = 0
    for i in range(1, len(order) + 1):
        if i == len(order) or values[order[i]] != values[order[begin]]:
            for position in order[begin:i]:
                ranks[position] = (begin + 1 + i) / 2
            begin = i
    return ranks


def _correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    mean = (len(one) + 1) / 2
    both = sum((a - mean) * (b - mean) for a, b in zip(one, other, strict=True))
    spread = math.sqrt(sum((a - mean) ** 2 for a in one) * sum((b - mean) ** 2 for b in other))
    return both / spread if spread else None
