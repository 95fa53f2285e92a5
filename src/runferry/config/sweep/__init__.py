"""W&B sweep definitions, without a server: from `method`, `parameters` and `command` to runs' arguments.

The words and their meaning are W&B's (https://docs.wandb.ai/guides/sweeps). `definition` reads and checks one,
`parameter` and `distributions` know what a parameter can be, `points` goes through a grid or draws at random, `macros`
writes out commands. `rounds` chooses the runs of a bayes sweep and `hyperband` stops runs early; neither is imported
here, nor is anything else that costs time: every job reads the config.
"""

from __future__ import annotations

from runferry.config.sweep.definition import METHODS, Sweep, check
from runferry.config.sweep.macros import check_command, command, late_macros
from runferry.config.sweep.parameter import Parameters

__all__ = ["METHODS", "Parameters", "Sweep", "check", "check_command", "command", "late_macros"]
