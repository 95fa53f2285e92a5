"""The bayes sweep that the tests of rounds train."""

from __future__ import annotations

from typing import Any


def bayes_over_x(python: str) -> dict[str, Any]:
    """A bayes sweep of `train.py` over one parameter, as the tests of rounds train it."""
    return {
        "method": "bayes",
        "program": "train.py",
        "command": [python, "${program}"],
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"min": -3.0, "max": 3.0}},
    }
