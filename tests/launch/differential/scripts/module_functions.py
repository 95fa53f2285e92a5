"""Logs in and uses the functions of the module, as old scripts do, and leaves the end to wandb."""
#: oldest = false

import truth
import wandb

wandb.login()
wandb.init(project="p")
wandb.config.update({"lr": 0.1})
wandb.config.more = 2
for i in range(3):
    wandb.log({"x": i})
    truth.write("one", {"x": i}, i)
wandb.run.summary["best"] = 3
wandb.summary["second"] = 4
wandb.run.name = "old style"
