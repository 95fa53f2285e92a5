"""A training, then an evaluation in a run of its own whose job type says so, with no name and no group."""
#: oldest = false

import truth
import wandb

with wandb.init(config={"lr": 0.1}, job_type="train") as run:
    for step in range(10):
        run.log({"loss": 1 / (step + 1)})
        truth.write("train", {"loss": 1 / (step + 1)}, step)
with wandb.init(config={"checkpoint": "last"}, job_type="eval") as run:
    run.log({"accuracy": 0.9})
    truth.write("eval", {"accuracy": 0.9}, 0)
