"""Logs the code of its folder."""
#: oldest = false

import wandb

with open("helper.py", "w") as file:
    file.write("x = 1\n")
run = wandb.init(project="p", save_code=True)
run.log_code(".", name="my-code")
run.log({"x": 1})
run.finish()
