"""As Stable-Baselines has it: a training whose TensorBoard is synced, then an evaluation as a run of its own."""

import torch.utils.tensorboard
import wandb
from truth import wrote

run = wandb.init(job_type="train", sync_tensorboard=True, save_code=True, config={"policy": "MlpPolicy"})
# What the algorithm itself writes, which knows nothing of W&B.
writer = torch.utils.tensorboard.SummaryWriter(f"runs/{run.id}")
for step in range(0, 500, 50):
    # A number that a float of 32 bits, which TensorBoard's files have, holds whole.
    writer.add_scalar("rollout/ep_rew_mean", step / 4, step)
    wrote(run.id, "rollout/ep_rew_mean", step / 4)
writer.close()
run.finish()

run = wandb.init(job_type="eval", config={"episodes": 5})
for episode in range(5):
    run.log({"reward": 100 - episode})
    wrote(run.id, "reward", 100 - episode)
run.finish()
