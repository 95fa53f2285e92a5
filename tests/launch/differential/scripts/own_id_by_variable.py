"""Sets WANDB_RUN_ID itself."""

import os

os.environ["WANDB_RUN_ID"] = "named-by-the-script"

import truth
import wandb

run = wandb.init(project="p")
run.log({"x": 1})
truth.write("one", {"x": 1}, 0)
run.finish()
