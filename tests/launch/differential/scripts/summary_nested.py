"""The summary, set at depth."""

import wandb

run = wandb.init(project="p")
run.log({"x": 1})
run.summary["best"] = {"acc": 1}
run.summary["best"]["epoch"] = 3
run.summary["deep"] = {"a": {"b": {"c": 1}}}
run.summary["deep"]["a"]["b"]["d"] = 2
run.finish()
