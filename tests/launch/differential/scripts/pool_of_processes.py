"""A pool of two processes that does four jobs, each with a run of its own."""
#: oldest = false

from concurrent.futures import ProcessPoolExecutor

import truth
import wandb


def train(seed):
    run = wandb.init(project="p", group="pool", name=f"seed-{seed}", reinit=True)
    for i in range(3):
        run.log({"loss": 10 * seed + i}, step=i)
        truth.write(seed, {"loss": 10 * seed + i}, i)
    run.finish()
    return seed


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(train, range(4)))
