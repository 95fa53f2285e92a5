"""A row over W&B's limit of 10 MB, between two others."""

import wandb

run = wandb.init(project="p")
run.log({"x": 0})
run.log({"x": 1, "text": "z" * 11_000_000})
run.log({"x": 2, "text": "short"})
run.finish()
