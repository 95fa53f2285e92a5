"""Sets WANDB_DIR itself."""
#: oldest = false

import os

os.environ["WANDB_DIR"] = os.path.join(os.environ["HOME"], "by-variable")
os.makedirs(os.environ["WANDB_DIR"], exist_ok=True)

import truth
import wandb

run = wandb.init()
run.log({"x": 7})
truth.write("one", {"x": 7}, 0)
run.finish()
