"""A script that says all by variables."""
#: oldest = false

import os

os.environ |= {
    "WANDB_PROJECT": "by-variable",
    "WANDB_NAME": "named by variable",
    "WANDB_RUN_GROUP": "grouped by variable",
    "WANDB_JOB_TYPE": "evaluation",
    "WANDB_NOTES": "notes by variable",
    "WANDB_TAGS": "one,two",
}

import wandb

with wandb.init() as run:
    run.log({"x": 1})
