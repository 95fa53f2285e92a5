"""The members of an ensemble, all open at once."""

import truth
import wandb

runs = [wandb.init(project="p", name=f"member-{k}", reinit="create_new", config={"member": k}) for k in range(3)]
for step in range(6):
    for member, run in enumerate(runs):
        run.log({"loss": 10 * member + step})
        truth.write(member, {"loss": 10 * member + step}, step)
for run in runs:
    run.finish()
