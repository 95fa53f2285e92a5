"""A config-defaults.yaml in the working directory, and keys that are left out."""
#: oldest = false

with open("config-defaults.yaml", "w") as file:
    file.write("batch_size:\n  desc: rows at once\n  value: 32\nlr:\n  value: 0.5\n")

import wandb

run = wandb.init(config={"lr": 0.1, "secret": "x"}, config_exclude_keys=["secret"])
run.log({"x": run.config["batch_size"]})
run.finish()
