"""SIGKILL in the middle of wandb.init, as by lack of memory, and a second attempt."""
#: exit_codes = [-9, 0]

#: attempts = 2
#: alone = true
import glob
import os
import threading
import time

import truth
import wandb


def watch():
    place = os.environ.get("WANDB_DIR", ".")
    while not glob.glob(f"{place}/wandb/*run-2*/*.wandb"):
        time.sleep(0.0002)
    os.kill(os.getpid(), 9)


if os.environ["RUNFERRY_ATTEMPT"] == "1":
    threading.Thread(target=watch, daemon=True).start()
run = wandb.init(project="p")
for i in range(7):
    run.log({"x": i})
    truth.write("one", {"x": i}, i)
run.finish()
