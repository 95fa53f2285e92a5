"""Goes on in the next job, and leaves the steps to wandb."""
#: exit_codes = [75, 0]

#: attempts = 2
import os
import sys

import truth
import wandb

run = wandb.init()
for i in range(5):
    value = 10 * int(os.environ["RUNFERRY_ATTEMPT"]) + i
    run.log({"loss": value})
    truth.write("one", {"loss": value})
sys.exit(75 if os.environ["RUNFERRY_ATTEMPT"] == "1" else 0)
