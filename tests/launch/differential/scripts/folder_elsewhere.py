"""Gives an absolute dir= that is not the run's folder."""

import os

import truth
import wandb

place = os.path.join(os.environ["HOME"], "my-logs")
os.makedirs(place, exist_ok=True)
run = wandb.init(dir=place)
run.log({"x": 7})
truth.write("one", {"x": 7}, 0)
run.finish()
