"""Refuse a target that no rule makes, in one line, before Snakemake looks for it."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any

from runferry.errors import ConfigError
from runferry.system.text import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TAKES_ONE = re.compile(
    r"--((workflow-)?profile|snakefile|directory|executor|scheduler|logger|latency-wait|retries)|-[sde]"
)
_TAKES_NONE = re.compile(
    r"--(dry-?run|dry|printshellcmds|keep-going|forceall|force|nolock|touch|verbose|rerun-incomplete|ri|"
    r"ignore-incomplete|ii)|-[npkFft]+"
)


def check_targets(rules: Iterable[Any], words: Sequence[str]) -> None:
    """Refuse the targets of a command line that are neither rules nor files that a rule makes.

    Parameters
    ----------
    rules
        Snakemake's, all of them.
    words
        What was typed after `snakemake`.

    Raises
    ------
    ConfigError
        For the first such target, with the targets that are meant for users.
    """
    found = list(rules)
    for target in _targets(words):
        if any(rule.name == target or rule.is_producer(target) for rule in found) or os.path.exists(target):  # noqa: PTH110
            continue
        own = [name for name in ("all", "train_all", "sync_all", "report") if any(rule.name == name for rule in found)]
        message = (
            f"{target}: found no such target, expected one of {', '.join(own)}, or a file that a rule makes, such as "
            f"results/<experiment>/<run>/receipt.json{suggest(target, [rule.name for rule in found])}"
        )
        raise ConfigError(message)


def _targets(words: Sequence[str]) -> list[str]:
    """List the words that are surely targets: those that no option before them can take.

    >>> _targets(["--quiet", "rules", "progress", "-np", "here"])
    ['here']
    >>> _targets(["trian_all", "--profile", "profiles/local", "-n", "results/x", "--config", "a=1", "b=2"])
    ['trian_all', 'results/x']
    """
    found: list[str] = []
    taken = 0.0
    for word in words:
        if word.startswith("-") and len(word) > 1:
            # What follows any other option may be a word of it, and is left to Snakemake.
            none = _TAKES_NONE.fullmatch(word) or "=" in word
            taken = 0 if none else 1 if _TAKES_ONE.fullmatch(word) else math.inf
        elif taken:
            taken -= 1
        else:
            found.append(word)
    return found
