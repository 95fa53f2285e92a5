"""A run for each trial of a search, twelve in one process."""

import truth
import wandb

for trial in range(12):
    run = wandb.init(project="search", config={"trial": trial, "lr": 10.0**-trial}, reinit="finish_previous")
    for step in range(3):
        run.log({"objective": 100 * trial + step})
        truth.write(trial, {"objective": 100 * trial + step}, step)
wandb.finish()
