"""Artifacts of files by relative paths, with each policy."""

import wandb

run = wandb.init(project="p")
for policy in ("mutable", "immutable"):
    with open(f"{policy}.pt", "w") as file:
        file.write(policy * 5)
    artifact = wandb.Artifact(f"by-{policy}", type="model")
    artifact.add_file(f"{policy}.pt", policy=policy)
    run.log_artifact(artifact)
run.log({"x": 1})
run.finish()
