"""A run for each rank; the ranks come up one after the other."""
#: oldest = false

import subprocess
import sys
import time

if len(sys.argv) > 1:
    import truth
    import wandb

    rank = int(sys.argv[1])
    run = wandb.init(project="p", group="ddp", name=f"rank-{rank}")
    for i in range(10):
        run.log({"loss": 100 * rank + i}, step=i)
        truth.write(rank, {"loss": 100 * rank + i}, i)
    run.finish()
else:
    ranks = []
    for rank in range(3):
        ranks.append(subprocess.Popen([sys.executable, __file__, str(rank)]))
        time.sleep(1.2)
    sys.exit(max(rank.wait() for rank in ranks))
