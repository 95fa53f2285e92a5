"""A run for each fold, one after the other in one process, and one more for the mean."""

import truth
import wandb

losses = []
for fold in range(3):
    run = wandb.init(
        project="cv", group="five-fold", job_type="fold", name=f"fold-{fold}", reinit=True, config={"fold": fold}
    )
    for epoch in range(5):
        run.log({"val_loss": 10 * fold + epoch})
        truth.write(run.name, {"val_loss": 10 * fold + epoch})
    losses.append(10 * fold + 4)
    run.finish()
run = wandb.init(project="cv", group="five-fold", job_type="eval", name="mean")
run.log({"mean": sum(losses) / 3}, step=0)
truth.write("mean", {"mean": sum(losses) / 3}, 0)
run.finish()
