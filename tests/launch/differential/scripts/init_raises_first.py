"""A wandb.init that raises, and a second one that does not, as in a script that catches errors."""

#: alone = true
import truth
import wandb

try:
    wandb.init(config={5: 1})
except Exception as error:
    print("found", type(error).__name__)
run = wandb.init(config={"5": 1})
run.log({"x": 1})
truth.write("one", {"x": 1}, 0)
run.finish()
