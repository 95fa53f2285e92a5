"""Writes down what a script logged, beside wandb: no reader of ours has a part in it."""

import json
import os


def write(run, row, step=None):
    """Say that `row` was logged to a run, by whatever name the script has for it, after `log` has returned."""
    line = json.dumps({"run": str(run), "row": row, "step": step}) + "\n"
    # One write to a file that is only added to: threads and processes may share it.
    file = os.open(os.environ["TRUTH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, line.encode())
    os.close(file)
