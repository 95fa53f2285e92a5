"""The usual data-parallel training: only the first rank logs."""
#: oldest = false

import os
import subprocess
import sys

if "RANK" not in os.environ:
    ranks = [subprocess.Popen([sys.executable, __file__], env=os.environ | {"RANK": str(r)}) for r in range(3)]
    sys.exit(max(rank.wait() for rank in ranks))
if os.environ["RANK"] == "0":
    import truth
    import wandb

    run = wandb.init(config={"world": 3})
    for i in range(5):
        run.log({"loss": i})
        truth.write(0, {"loss": i}, i)
    run.finish()
