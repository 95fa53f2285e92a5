"""Choose the goal by which an experiment's runs are compared: the sweep's own, else one guessed from the metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runferry.config.names import SWEEP_FILE
from runferry.system.files import read_json
from runferry.system.values import is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_LOW = re.compile(r"(loss|err(or)?|perplexity|ppl|nll|mse|rmse|mae|bpb|wer|cer|fid)(?![a-z])", re.IGNORECASE)
_HIGH = re.compile(
    r"(acc(uracy)?|f1|auc|auroc|precision|recall|score|reward|returns?|iou|bleu|rouge|r2|psnr|ssim|map|success)(?![a-z])",
    re.IGNORECASE,
)
_OF_VALIDATION = re.compile(r"(?<![a-z])(val(id(ation)?)?|dev|eval|test)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Goal:
    """A metric, and whether its highest or its lowest value is the best.

    Attributes
    ----------
    metric : str
    maximize : bool
    guessed : bool
        Whether it was guessed from the metric's name, as no sweep says it.
    """

    metric: str
    maximize: bool
    guessed: bool = False

    @property
    def words(self) -> str:
        """Return the goal in words: "lowest loss"."""
        return f"{'highest' if self.maximize else 'lowest'} {self.metric}"


def read_goals(experiment_folder: Path, metrics: Sequence[str]) -> list[Goal]:
    """Return the goals of an experiment's sweep; without any, one that is guessed from the names of its metrics.

    Parameters
    ----------
    metrics
        Those that may be a result, which a counter is not.
    """
    try:
        sweep = read_json(experiment_folder / SWEEP_FILE)
    except (OSError, ValueError):
        sweep = None
    goals = list(dict.fromkeys(_goals(sweep))) if is_mapping(sweep) else []
    if goals:
        return goals
    guess = guess_goal(metrics)
    return [guess] if guess else []


def _goals(sweep: dict[str, Any]) -> Iterator[Goal]:
    scheduler = sweep.get("scheduler")
    given = [sweep.get("metric"), sweep.get("metrics")]
    if is_mapping(scheduler):
        given += [scheduler.get("metric"), scheduler.get("metrics")]
    for section in given:
        for metric in section if is_list(section) else [section]:
            if is_mapping(metric) and isinstance(metric.get("name"), str):
                # W&B's default is to minimize.
                yield Goal(metric["name"], str(metric.get("goal", "minimize")).startswith("max"))


def guess_goal(metrics: Sequence[str]) -> Goal | None:
    """Guess which metric tells the best run, from the names: a loss or an accuracy, of validation rather than training.

    >>> guess_goal(["lr", "train/loss", "val/accuracy"])
    Goal(metric='val/accuracy', maximize=True, guessed=True)
    """
    known = [metric for metric in metrics if _LOW.search(metric) or _HIGH.search(metric)]
    if not known:
        return None
    best = min(known, key=lambda metric: (not _OF_VALIDATION.search(metric), not _HIGH.search(metric)))
    return Goal(best, maximize=_LOW.search(best) is None, guessed=True)
