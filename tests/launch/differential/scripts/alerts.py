"""Alerts, and the word that the job is about to be preempted."""
#: oldest = false

import wandb

run = wandb.init()
run.alert("low accuracy", "it is 0.1", level=wandb.AlertLevel.WARN, wait_duration=0)
run.log({"x": 1})
run.alert("second", "text")
run.mark_preempting()
run.finish()
