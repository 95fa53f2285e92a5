"""A main run for all of the training, and short ones beside it for its evaluations."""

import truth
import wandb

main = wandb.init(name="main", reinit="create_new")
for epoch in range(3):
    main.log({"loss": epoch / 2}, step=epoch)
    truth.write("main", {"loss": epoch / 2}, epoch)
    side = wandb.init(name=f"eval-{epoch}", job_type="eval", reinit="create_new")
    side.log({"reward": epoch}, step=epoch)
    truth.write(f"eval-{epoch}", {"reward": epoch}, epoch)
    side.finish()
main.finish()
