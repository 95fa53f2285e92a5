"""A child with cwd= that gives a relative dir=."""

import os
import subprocess
import sys

if len(sys.argv) > 1:
    import truth
    import wandb

    run = wandb.init(dir="logs")
    run.log({"x": 7})
    truth.write("one", {"x": 7}, 0)
    run.finish()
else:
    os.makedirs("child/logs", exist_ok=True)
    sys.exit(subprocess.run([sys.executable, __file__, "child"], cwd="child").returncode)
