"""Saves by pattern, with base_path, from sub-folders, with each policy; some change later."""

import os

import wandb

os.makedirs("out/deep", exist_ok=True)
for name in ("a.txt", "b.txt", "c.csv", "deep/d.txt"):
    with open(f"out/{name}", "w") as file:
        file.write(f"this is {name}\n")
run = wandb.init()
run.save("out/*.txt")
run.save("out/deep/d.txt", base_path="out", policy="now")
run.save("out/c.csv", policy="end")
run.save(os.path.abspath("out/a.txt"), base_path=os.path.abspath("."), policy="live")
run.log({"x": 1})
with open("out/c.csv", "a") as file:
    file.write("one line more\n")
run.finish()
