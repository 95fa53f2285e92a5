"""Writes into run.dir, which wandb uploads at the end."""
#: oldest = false

import os

import wandb

run = wandb.init()
os.makedirs(os.path.join(run.dir, "checkpoints"))
for name in ("model.txt", "checkpoints/epoch-1.txt"):
    with open(os.path.join(run.dir, name), "w") as file:
        file.write(f"this is {name}\n")
run.log({"x": 1})
run.finish()
