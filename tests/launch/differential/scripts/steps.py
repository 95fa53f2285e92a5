"""Steps that go back, which wandb drops; with gaps; rows that come in parts."""

import wandb

run = wandb.init()
for step in (0, 1, 5, 3, 5, 6, 2):
    run.log({"x": step}, step=step)
for i in range(3):
    run.log({"a": i}, commit=False)
    run.log({"b": 2 * i})
for step in (20, 21):
    run.log({"a": 1}, step=step)
    run.log({"b": 2}, step=step)
    run.log({"a": 3}, step=step, commit=True)
for step in (100, 99, 1000):
    run.log({"x": step}, step=step)
run.log({"x": -1})
run.log({"left": "open"}, commit=False)
run.finish()
