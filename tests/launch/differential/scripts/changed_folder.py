"""Goes into a folder of its own first, as hydra does, and gives dir="." there, as Lightning's logger does."""

import os

import truth
import wandb

os.makedirs("outputs/today", exist_ok=True)
os.chdir("outputs/today")
run = wandb.init(dir=".")
for i in range(3):
    run.log({"x": i})
    truth.write("one", {"x": i}, i)
run.finish()
