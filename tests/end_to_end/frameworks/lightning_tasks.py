"""Lightning over the tasks of a run, which it finds by Slurm's variables; rank 0 logs."""

import warnings

import lightning
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from truth import wrote

warnings.filterwarnings("ignore")


class Model(lightning.LightningModule):
    """One layer, whose gradients are those of all ranks."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, _):
        loss = self.layer(batch[0]).square().mean()
        self.log("loss", loss)
        self.log("ranks", float(self.trainer.world_size))
        return loss

    def on_train_batch_end(self, *_):
        if self.trainer.is_global_zero:
            wrote(wandb.run.id, "loss", self.trainer.callback_metrics["loss"].item())
            # As many as there are tasks.
            wrote(wandb.run.id, "ranks", 2)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


lightning.seed_everything(0)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 4)), batch_size=4)
lightning.Trainer(
    max_epochs=2,
    accelerator="cpu",
    devices=2,
    strategy="ddp",
    logger=WandbLogger(),
    log_every_n_steps=1,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
).fit(Model(), data)
