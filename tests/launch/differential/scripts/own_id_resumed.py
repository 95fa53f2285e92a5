"""A run that the script begins, ends and goes on with, by an id of its own."""

import truth
import wandb

for part in range(2):
    run = wandb.init(project="p", id="in-two-parts", resume="allow", config={f"part{part}": True})
    for i in range(3):
        run.log({"x": 10 * part + i})
        truth.write("one", {"x": 10 * part + i})
    run.finish()
