import sys

import wandb

rate = float(sys.argv[1].partition("=")[2])
run = wandb.init()
for step in range(10):
    run.log({"loss": rate**step})
run.finish()
