"""A process for each seed, one after the other, each with its own run and its own step=."""

import subprocess
import sys

if len(sys.argv) > 1:
    import truth
    import wandb

    seed = int(sys.argv[1])
    run = wandb.init(project="p", group="seeds", name=f"seed-{seed}", config={"seed": seed})
    for i in range(10):
        run.log({"loss": 100 * seed + i}, step=i)
        truth.write(seed, {"loss": 100 * seed + i}, i)
    run.finish()
else:
    sys.exit(max(subprocess.run([sys.executable, __file__, str(r)]).returncode for r in range(3)))
