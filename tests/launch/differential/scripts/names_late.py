"""Name, tags and notes that are set after the start."""
#: oldest = false

import wandb

run = wandb.init(project="p", tags=["first"], notes="before")
run.log({"x": 1})
run.name = "a better name"
run.tags += ("second",)
run.notes = "after\nwith two lines"
run.log({"x": 2})
run.finish()
