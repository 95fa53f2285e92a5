"""Each run of a sweep saves files by the same names in the working directory that all share, with each policy."""

#: jobs = [["1"], ["2"]]
import sys

import wandb

seed = sys.argv[1]
run = wandb.init(project="p", config={"seed": int(seed)})
for i in range(3):
    run.log({"x": i})
for policy in ("end", "now", "live"):
    with open(f"{policy}.pt", "w") as file:
        file.write(f"weights of seed {seed}")
    run.save(f"{policy}.pt", policy=policy)
run.finish()
