"""W&B's agent with a function, which asks the server for each run's parameters."""

import wandb

sweep = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"rate": {"values": [1, 2]}}}


def train():
    run = wandb.init()
    run.log({"loss": run.config["rate"]})
    run.finish()


wandb.agent(wandb.sweep(sweep, project="tests"), function=train, count=2)
