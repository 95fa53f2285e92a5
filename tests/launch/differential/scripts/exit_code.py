"""Ends with an exit code of its own, without finishing its run."""
#: oldest = false
#: exit_codes = [3]

import sys

import wandb

run = wandb.init()
run.log({"x": 1})
sys.exit(3)
