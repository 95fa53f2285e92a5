"""Two runs of a script log versions of one artifact, by a path, and a model."""

import wandb

for k in range(2):
    with open("weights.txt", "w") as file:
        file.write(f"weights {k}")
    with wandb.init(project="p", name=f"stage-{k}") as run:
        run.log_artifact("weights.txt", name="weights", type="model", aliases=[f"stage-{k}"])
        run.log_model("weights.txt", name="net", aliases=["best"])
