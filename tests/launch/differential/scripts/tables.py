"""Tables: logged, with pictures, again by one key, growing, in an artifact; wandb's own plots."""
#: own_online = true

import numpy
import wandb

run = wandb.init()
table = wandb.Table(columns=["x", "y"], data=[[i, i * i] for i in range(5)])
run.log({"table": table})
pictures = wandb.Table(columns=["picture", "score"])
for k in range(2):
    pictures.add_data(wandb.Image(numpy.full((4, 4), 60 * k, dtype=numpy.uint8)), k / 2)
run.log({"pictures": pictures, "loss": 1})
run.log({"table": wandb.Table(columns=["x"], data=[[1]])})
growing = wandb.Table(columns=["step"], log_mode="MUTABLE")
for step in range(3):
    growing.add_data(step)
    run.log({"growing": growing})
artifact = wandb.Artifact("results", type="evaluation")
artifact.add(wandb.Table(columns=["a"], data=[[1.5], [None]]), "inside")
run.log_artifact(artifact)
plotted = wandb.Table(columns=["x", "y"], data=[[i, i * i] for i in range(5)])
run.log({"line": wandb.plot.line(plotted, "x", "y", title="a line"), "bars": wandb.plot.bar(plotted, "x", "y")})
run.log({"matrix": wandb.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 1, 0], class_names=["no", "yes"])})
run.finish()
