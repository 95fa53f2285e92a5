"""Workers that are forked before anything of wandb was started, with a run each, while the parent has one too."""

import os

import truth
import wandb

children = []
for k in range(2):
    pid = os.fork()
    if pid == 0:
        run = wandb.init(project="p", name=f"child-{k}")
        for i in range(4):
            run.log({"x": 10 * k + i})
            truth.write(k, {"x": 10 * k + i}, i)
        run.finish()
        os._exit(0)
    children.append(pid)
run = wandb.init(project="p", name="parent")
run.log({"x": 99})
truth.write("parent", {"x": 99}, 0)
run.finish()
for pid in children:
    os.waitpid(pid, 0)
