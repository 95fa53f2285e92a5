"""A forked child that logs to its parent's run."""

import os
import sys

import truth
import wandb

run = wandb.init()
run.log({"x": 0})
truth.write("one", {"x": 0})
pid = os.fork()
if pid == 0:
    run.log({"x": 1})
    truth.write("one", {"x": 1})
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
run.log({"x": 2})
truth.write("one", {"x": 2})
run.finish()
