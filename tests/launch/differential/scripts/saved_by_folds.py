"""Each fold of one script saves "best.txt" over the last one's."""

import wandb

for fold in range(3):
    with wandb.init(project="p", name=f"fold-{fold}") as run:
        run.log({"x": fold})
        with open("best.txt", "w") as file:
            file.write(f"the best of fold {fold}" + "!" * fold)
        run.save("best.txt")
