"""Lightning's WandbLogger as it comes, in the folder that Hydra has changed to."""

import warnings

import hydra
import lightning
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from truth import wrote

warnings.filterwarnings("ignore")


class Model(lightning.LightningModule):
    """One layer."""

    def __init__(self, rate):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, _):
        loss = self.layer(batch[0]).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.hparams.rate)


class Truth(lightning.Callback):
    """Notes each loss."""

    def on_train_batch_end(self, trainer, *_):
        wrote(wandb.run.id, "loss", trainer.callback_metrics["loss"].item())


@hydra.main(version_base=None, config_path=None)
def main(settings):
    lightning.seed_everything(0)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(32, 4)), batch_size=4)
    lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=WandbLogger(),
        callbacks=[Truth()],
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Model(settings.rate), data)


main()
