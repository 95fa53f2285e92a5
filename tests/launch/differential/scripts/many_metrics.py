"""Rows of a thousand metrics, and a thousand rows."""

import truth
import wandb

run = wandb.init()
for i in range(3):
    run.log({f"layer{k}/norm": k * i for k in range(1000)})
for i in range(1000):
    run.log({"loss": i})
    truth.write("one", {"loss": i}, 3 + i)
run.finish()
