"""Sets WANDB_RUN_ID itself, once for each of two runs."""

import os

import truth
import wandb

for k in range(2):
    os.environ["WANDB_RUN_ID"] = f"mine-{k}"
    run = wandb.init(project="p")
    run.log({"x": k})
    truth.write(k, {"x": k}, 0)
    run.finish()
