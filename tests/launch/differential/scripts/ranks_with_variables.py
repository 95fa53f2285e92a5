"""A run for each of two ranks that start together, as torchrun starts them; neither gives itself a name."""

import os
import subprocess
import sys

if "RANK" in os.environ:
    import truth
    import wandb

    rank = int(os.environ["RANK"])
    run = wandb.init(project="p", config={"rank": rank})
    for i in range(10):
        run.log({"loss": 100 * rank + i})
        truth.write(rank, {"loss": 100 * rank + i}, i)
    run.finish()
else:
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__], env=os.environ | {"RANK": str(r), "LOCAL_RANK": str(r), "WORLD_SIZE": "2"}
        )
        for r in range(2)
    ]
    sys.exit(max(rank.wait() for rank in ranks))
