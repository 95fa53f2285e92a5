"""The script says mode="online" itself, as many do that are also run by hand."""

import wandb
from truth import write

run = wandb.init(mode="online", name="asked")
for step in range(3):
    run.log({"value": step})
    write(run.id, {"value": step}, step)
run.finish()
again = wandb.init(settings=wandb.Settings(mode="online"), name="again")
again.log({"value": 10})
write(again.id, {"value": 10}, 0)
