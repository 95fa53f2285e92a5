"""Workers of multiprocessing, spawned, with a run each; the parent has none."""
#: oldest = false

import multiprocessing

import truth
import wandb


def work(k):
    with wandb.init(project="p", config={"worker": k}) as run:
        for i in range(4):
            run.log({"x": 10 * k + i})
            truth.write(k, {"x": 10 * k + i}, i)


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(k,)) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
