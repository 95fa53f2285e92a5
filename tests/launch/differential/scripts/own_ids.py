"""An id of its own for each fold."""

import truth
import wandb

for fold in range(3):
    run = wandb.init(project="p", id=f"exp7-fold{fold}", name=f"fold{fold}", group="exp7")
    for i in range(4):
        run.log({"x": 10 * fold + i}, step=i)
        truth.write(fold, {"x": 10 * fold + i}, i)
    run.finish()
