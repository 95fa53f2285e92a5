"""Metrics with steps, and summaries of their own; one is defined when it has rows already."""

import truth
import wandb

run = wandb.init()
run.define_metric("epoch", hidden=True)
run.define_metric("val/*", step_metric="epoch")
run.define_metric("loss", summary="min,max,mean,last")
run.define_metric("acc", summary="max")
run.define_metric("val/f1", summary="max")
for i in range(8):
    row = {"loss": (i - 3) ** 2, "acc": i % 5}
    run.log(row)
    truth.write("one", row, i if i < 4 else i + 1)
    if i == 3:
        run.log({"epoch": 0, "val/f1": 0.7, "val/loss": i})
wandb.define_metric("late", step_metric="epoch", summary="min")
wandb.log({"epoch": 1, "val/f1": 0.4, "val/loss": 7, "late": 1})
wandb.log({"epoch": 2, "late": 2})
wandb.finish()
