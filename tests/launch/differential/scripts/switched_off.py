"""A run that is switched off, before one that is not."""
#: oldest = false

import wandb

off = wandb.init(mode="disabled")
off.log({"x": 1})
off.finish()
run = wandb.init(name="on")
run.log({"x": 2})
run.finish()
