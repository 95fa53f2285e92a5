"""Starts its training with an environment of its own, in which wandb finds only how to reach the server."""
#: oldest = false

import os
import subprocess
import sys

if len(sys.argv) > 1:
    import truth
    import wandb

    run = wandb.init(project="p")
    run.log({"x": 3})
    truth.write("one", {"x": 3}, 0)
    run.finish()
else:
    kept = {"HOME", "PATH", "PYTHONPATH", "TRUTH"} | {
        f"WANDB_{x}" for x in ("BASE_URL", "API_KEY", "ENTITY", "MODE", "ERROR_REPORTING")
    }
    environment = {name: value for name, value in os.environ.items() if name in kept}
    sys.exit(subprocess.run([sys.executable, __file__, "child"], env=environment).returncode)
