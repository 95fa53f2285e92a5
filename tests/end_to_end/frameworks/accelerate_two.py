"""Two processes of accelerate on one machine: the main one tracks."""

import accelerate
import torch
import wandb
from truth import wrote


def main():
    accelerator = accelerate.Accelerator(cpu=True, log_with="wandb")
    assert accelerator.num_processes == 2
    accelerator.init_trackers("digits", config={"rate": 0.1})
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)
    data = torch.utils.data.DataLoader(torch.randn(32, 4), batch_size=4)
    model, optimizer, data = accelerator.prepare(layer, torch.optim.SGD(layer.parameters(), 0.1), data)
    for step, batch in enumerate(data):
        loss = model(batch).square().mean()
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        mean = accelerator.gather(loss.detach()).mean().item()
        accelerator.log({"loss": mean}, step=step)
        if accelerator.is_main_process:
            wrote(wandb.run.id, "loss", mean)
    accelerator.end_training()


if __name__ == "__main__":
    accelerate.debug_launcher(main, num_processes=2)
