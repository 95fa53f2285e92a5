"""wandb.Settings: for one run, and for all."""

import wandb

wandb.setup(wandb.Settings(project="from-setup", run_group="a group"))
settings = wandb.Settings(
    run_name="by settings", run_tags=["t"], run_job_type="probe", x_disable_stats=True, console="off"
)
with wandb.init(settings=settings) as run:
    print("not kept: the console is off")
    run.log({"x": 1})
