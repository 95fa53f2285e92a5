"""A run in one project, one in another, and one of a team's."""

import os

import truth
import wandb

for project in ("training", "evaluation"):
    with wandb.init(project=project) as run:
        run.log({"x": len(project)})
        truth.write(project, {"x": len(project)}, 0)
with wandb.init(project="training", entity=os.environ["WANDB_ENTITY"] + "-team") as run:
    run.log({"x": 1})
    truth.write("the team's", {"x": 1}, 0)
