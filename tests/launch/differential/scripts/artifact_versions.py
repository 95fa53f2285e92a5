"""Versions, aliases, metadata, folders, references and a file that is made on the fly."""
#: own_online = true

import os

import wandb

run = wandb.init(project="p")
os.makedirs("data/sub", exist_ok=True)
for version in range(3):
    for name in ("a.txt", "sub/b.txt"):
        with open(f"data/{name}", "w") as file:
            file.write(f"{name} of version {version}")
    artifact = wandb.Artifact("data", type="dataset", description="small", metadata={"version": version})
    artifact.add_dir("data")
    with artifact.new_file("note.txt") as file:
        file.write(f"made for version {version}")
    artifact.add_reference("https://example.org/file.bin", name="elsewhere.bin", checksum=False)
    run.log_artifact(artifact, aliases=["newest", f"version-{version}"])
same = wandb.Artifact("data", type="dataset", description="small", metadata={"version": 2})
same.add_dir("data")
run.log_artifact(same)
run.log({"x": 1})
run.finish()
