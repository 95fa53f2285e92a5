"""Says itself that the run has failed, and ends well."""
#: oldest = false

import wandb

run = wandb.init()
run.log({"x": 1})
run.finish(exit_code=2)
