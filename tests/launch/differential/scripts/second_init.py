"""A second wandb.init without an end of the first, which wandb takes for the first."""
#: oldest = false

import truth
import wandb

wandb.init(config={"a": 1})
wandb.log({"x": 1})
truth.write("one", {"x": 1}, 0)
wandb.init(config={"b": 2})
wandb.log({"x": 2})
truth.write("one", {"x": 2}, 1)
