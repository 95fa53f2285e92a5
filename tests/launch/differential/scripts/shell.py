"""A shell script that trains and then evaluates."""

#: command = ["bash", "-c", "set -e; {python} {script} train --epochs 4; {python} {script} eval --epochs 1"]
import sys

import truth
import wandb

kind, epochs = sys.argv[1], int(sys.argv[3])
run = wandb.init(project="p", job_type=kind, config={"epochs": epochs})
for epoch in range(epochs):
    run.log({f"{kind}/loss": epoch}, step=epoch)
    truth.write(kind, {f"{kind}/loss": epoch}, epoch)
