"""A table of which each log sends what is new."""
#: own_online = true

import wandb

run = wandb.init()
table = wandb.Table(columns=["step", "loss"], log_mode="INCREMENTAL")
for step in range(3):
    table.add_data(step, step / 2)
    run.log({"progress": table})
run.finish()
