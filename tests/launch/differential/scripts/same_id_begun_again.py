"""A run that is begun again with the same id and without resume=: wandb begins it anew."""

import wandb

for part in range(2):
    run = wandb.init(project="p", id="the-same")
    for i in range(4 - part):
        run.log({"x": 10 * part + i})
    run.finish()
