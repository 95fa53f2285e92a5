"""The summary: set, updated, taken out, over what was logged."""

import numpy
import wandb

run = wandb.init()
run.summary["early"] = 1
for i in range(4):
    run.log({"loss": 3 - i, "acc": i})
run.summary["loss"] = "the last was not the best"
run.summary.update({"best": 0.5, "list": [1, 2], "none": None, "histogram": wandb.Histogram(numpy.arange(10.0))})
del run.summary["early"]
run.log({"acc": 10})
run.finish()
