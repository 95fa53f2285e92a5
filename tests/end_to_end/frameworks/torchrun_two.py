"""Two processes of torchrun, each with a W&B run of its own in one group."""

import os

import torch
import torch.distributed
import wandb
from truth import wrote

torch.distributed.init_process_group("gloo")
rank = int(os.environ["RANK"])
run = wandb.init(group="ddp", job_type=f"rank{rank}", config={"rank": rank})
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
torch.manual_seed(rank)
for _ in range(20):
    loss = model(torch.randn(8, 4)).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    run.log({"loss": loss.item()})
    wrote(run.id, "loss", loss.item())
run.finish()
torch.distributed.destroy_process_group()
