"""Train a small network on scikit-learn's handwritten digits with Lightning and its W&B logger.

Lightning saves a checkpoint after each epoch, and one when it is asked to stop (SIGTERM, which runferry sends
before a job's time limit); started again, it goes on from the newest. The digits come with scikit-learn: nothing is
downloaded.
"""

import argparse
import os

import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Digits(LightningModule):
    """A network of one hidden layer."""

    def __init__(self, hidden: int, learning_rate: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.learning_rate = learning_rate
        self.network = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        images, labels = batch
        loss = nn.functional.cross_entropy(self.network(images), labels)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        images, labels = batch
        scores = self.network(images)
        self.log("validation_loss", nn.functional.cross_entropy(scores, labels))
        self.log("validation_accuracy", (scores.argmax(1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--learning_rate", type=float, default=0.003)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()

    seed_everything(0)
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    train, validation = random_split(data, [0.75, 0.25], generator=torch.Generator().manual_seed(0))

    trainer = Trainer(
        max_epochs=arguments.epochs,
        # Without save_dir, the logger writes beside this file; there, live sync would not find the run while it trains.
        logger=WandbLogger(save_dir=os.environ.get("WANDB_DIR", ".")),
        callbacks=ModelCheckpoint(
            dirpath=os.environ.get("RUNFERRY_CHECKPOINTS", "checkpoints"), save_last=True, save_on_exception=True
        ),
        enable_progress_bar=False,
        log_every_n_steps=10,
    )
    trainer.fit(
        Digits(arguments.hidden, arguments.learning_rate),
        DataLoader(train, 64, shuffle=True),
        DataLoader(validation, 512),
        # With none there, as at the first start, Lightning begins at the beginning and says so.
        ckpt_path="last",
    )


if __name__ == "__main__":
    main()
