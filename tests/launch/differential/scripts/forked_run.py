"""A run that is a fork of another at a step."""

import wandb

run = wandb.init(project="p", fork_from="abc123?_step=3")
for i in range(4):
    run.log({"x": i})
run.finish()
