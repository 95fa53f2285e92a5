"""Is stopped in the middle, and goes on from its checkpoint in the next job."""
#: exit_codes = [75, 0]

#: attempts = 2
import os
import sys

import truth
import wandb

run = wandb.init(project="p", config={"lr": 0.1})
begin = int(open("checkpoint").read()) if os.path.exists("checkpoint") else 0
for step in range(begin, 10):
    run.log({"loss": step}, step=step)
    truth.write("one", {"loss": step}, step)
    if step == 4 and os.environ["RUNFERRY_ATTEMPT"] == "1":
        open("checkpoint", "w").write(str(step + 1))
        sys.exit(75)
run.finish()
