"""A training with several W&B runs, in one of several shapes, that can be killed and started again.

    train.py SHAPE FOLDER ROWS

Each row is unique: the member of the job that logged it, the attempt, and a number. After `log` has returned, it is
written to `FOLDER/truth.jsonl`, with the time.
"""

import json
import os
import subprocess
import sys
import threading
import time

import wandb

SHAPE, FOLDER, ROWS = sys.argv[1], sys.argv[2], int(sys.argv[3])
ATTEMPT = int(os.environ["RUNFERRY_ATTEMPT"])
PAUSE = 0.01


def note(member, row):
    line = json.dumps({"member": str(member), "attempt": ATTEMPT, "row": row, "time": time.time()}) + "\n"
    file = os.open(f"{FOLDER}/truth.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, line.encode())
    os.close(file)


def log(run, member, i, **more):
    row = {"value": f"{member}/{ATTEMPT}/{i}"}
    run.log(row, **more)
    note(member, row)
    time.sleep(PAUSE)


def checkpoint(member, value=None):
    """Return how far a member is, or write it."""
    file = f"{FOLDER}/checkpoint-{member}"
    if value is not None:
        with open(f"{file}.new", "w") as new:
            new.write(str(value))
        os.replace(f"{file}.new", file)
    return int(open(file).read()) if os.path.exists(file) else 0


def member_from_the_start(member, **init):
    run = wandb.init(**init)
    for i in range(ROWS):
        log(run, member, i)
    run.finish()


def one():
    member_from_the_start("one")


def steps():
    """One run with its own steps, which goes on where it was."""
    run = wandb.init()
    for step in range(checkpoint("one"), 2 * ROWS):
        log(run, "one", step, step=step)
        checkpoint("one", step + 1)
    run.finish()


def folds():
    """One after the other, without names, all again in each attempt."""
    for fold in range(3):
        member_from_the_start(fold)


def named_folds():
    """With names and steps; those that are done are not done again."""
    for fold in range(3):
        if checkpoint(fold) >= ROWS:
            continue
        run = wandb.init(name=f"fold-{fold}")
        for step in range(checkpoint(fold), ROWS):
            log(run, fold, step, step=step)
            checkpoint(fold, step + 1)
        run.finish()


def own_ids():
    for fold in range(3):
        member_from_the_start(fold, id=f"{os.path.basename(FOLDER)}-{fold}", resume="allow")


def open_at_once():
    runs = [wandb.init(reinit="create_new", name=f"member-{k}") for k in range(3)]
    for i in range(ROWS):
        for k, run in enumerate(runs):
            log(run, k, i)
    for run in runs:
        run.finish()


def threads():
    def work(k):
        member_from_the_start(k, reinit="create_new", name=f"thread-{k}")

    started = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def ranks():
    if "RANK" in os.environ:
        member_from_the_start(os.environ["RANK"])
        return
    started = [subprocess.Popen([sys.executable, *sys.argv], env=os.environ | {"RANK": str(r)}) for r in range(2)]
    sys.exit(max(rank.wait() for rank in started))


def seeds():
    if "SEED" in os.environ:
        member_from_the_start(os.environ["SEED"], name=f"seed-{os.environ['SEED']}")
        return
    for seed in range(3):
        subprocess.run([sys.executable, *sys.argv], env=os.environ | {"SEED": str(seed)}, check=True)


globals()[SHAPE]()
