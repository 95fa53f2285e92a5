"""A run with a config and a summary and no row."""
#: oldest = false

import wandb

run = wandb.init(config={"lr": 0.1})
run.summary["accuracy"] = 0.9
run.finish()
