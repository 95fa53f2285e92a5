"""The first run ends well, the second raises."""
#: exit_codes = [1]

import truth
import wandb

with wandb.init(name="good") as run:
    run.log({"x": 1})
    truth.write("good", {"x": 1}, 0)
with wandb.init(name="bad") as run:
    run.log({"x": 2})
    truth.write("bad", {"x": 2}, 0)
    raise ValueError("diverged")
