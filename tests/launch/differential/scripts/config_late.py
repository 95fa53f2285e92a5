"""The config: changed late, nested, from argparse, with odd keys and values."""

import argparse

import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--layers", type=int, nargs="*", default=[1, 2])
run = wandb.init(config=parser.parse_args([]))
run.config.update({"deep": {"a": 1, "b": {"c": [1, 2, {"d": 3}]}}, "a.b": 1, "nan": float("nan"), "none": None})
run.log({"x": 1})
run.config.epochs = 10
run.config["epochs"] = 10
run.config.update({"lr": 0.2}, allow_val_change=True)
run.config.setdefaults({"lr": 5, "default": 6})
run.log({"x": 2})
run.config.update({"deep": {"a": 2}}, allow_val_change=True)
run.finish()
