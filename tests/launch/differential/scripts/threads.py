"""A run for each of three threads."""

import threading

import truth
import wandb


def work(k):
    run = wandb.init(project="p", name=f"thread-{k}", reinit="create_new", config={"k": k})
    for i in range(20):
        run.log({"x": 100 * k + i})
        truth.write(k, {"x": 100 * k + i}, i)
    run.finish()


threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
