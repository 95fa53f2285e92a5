"""A second run takes what the first has logged."""

import wandb

with open("weights.txt", "w") as file:
    file.write("weights")
with wandb.init(project="p", name="first") as run:
    run.log_artifact("weights.txt", name="weights", type="model").wait()
with wandb.init(project="p", name="second") as run:
    artifact = run.use_artifact("weights:latest")
    run.log({"found": len(artifact.manifest.entries)})
