"""An artifact by a path that is relative to a folder that the script went into."""

import os

import wandb

os.makedirs("out", exist_ok=True)
os.chdir("out")
run = wandb.init(project="p")
for name in ("one.txt", "two.txt"):
    with open(name, "w") as file:
        file.write(f"this is {name}")
artifact = wandb.Artifact("relative", type="data")
artifact.add_file("one.txt", policy="immutable")
artifact.add_file("two.txt", name="inside/two.txt")
run.log_artifact(artifact)
run.finish()
