"""Writes down what a script logs, in a file of its own: what arrives is compared with this."""

from __future__ import annotations

import json
import os
from pathlib import Path


def wrote(run: str, metric: str, value: float) -> None:
    """Note that a W&B run was given a value of a metric; several processes may."""
    line = json.dumps({"run": run, "metric": metric, "value": value})
    with (Path(os.environ["RUNFERRY_RUN_FOLDER"]) / "truth.jsonl").open("a") as file:
        file.write(f"{line}\n")
