"""Takes out of the environment what somebody else set for wandb, but for the server, the key, the entity and the mode."""

import os

for name in list(os.environ):
    if name.startswith("WANDB_") and name not in {"WANDB_BASE_URL", "WANDB_API_KEY", "WANDB_ENTITY", "WANDB_MODE"}:
        del os.environ[name]

import truth
import wandb

run = wandb.init(project="p", name="by-itself")
for i in range(3):
    run.log({"x": i})
    truth.write("one", {"x": i}, i)
run.finish()
