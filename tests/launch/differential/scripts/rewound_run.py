"""A run that goes on at an earlier step of its own."""

import wandb

run = wandb.init(project="p", id="rewound", name="first")
for i in range(6):
    run.log({"x": i})
run.finish()
run = wandb.init(project="p", resume_from="rewound?_step=3")
for i in range(4):
    run.log({"x": 100 + i})
run.finish()
