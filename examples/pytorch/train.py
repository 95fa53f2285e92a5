"""Train a small convolutional network on scikit-learn's handwritten digits with PyTorch, and log it to W&B.

It saves a checkpoint after each epoch and goes on from it when it is started again. Asked to stop (SIGTERM, which
runferry sends before a job's time limit), it ends after the epoch that it is in. The digits come with scikit-learn:
nothing is downloaded.
"""

import argparse
import os
import signal
from pathlib import Path

import torch
import wandb
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

CHECKPOINT = Path(os.environ.get("RUNFERRY_CHECKPOINTS", "checkpoints")) / "last.pt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learning_rate", type=float, default=0.003)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    train, validation = digits(arguments.batch_size)
    model = network(arguments.channels).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=arguments.learning_rate)
    epoch = load(model, optimizer, device)

    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    run = wandb.init(config=vars(arguments))
    while epoch < arguments.epochs and not stop:
        loss = train_epoch(model, optimizer, train, device)
        validation_loss, accuracy = evaluate(model, validation, device)
        # With its own step: an epoch that is done once more after a kill is not a second row.
        run.log({"loss": loss, "validation_loss": validation_loss, "validation_accuracy": accuracy}, step=epoch)
        epoch += 1
        save(model, optimizer, epoch)
    run.finish()


def digits(batch_size: int) -> tuple[DataLoader, DataLoader]:
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    data = TensorDataset(images, torch.tensor(labels))
    train, validation = random_split(data, [0.75, 0.25], generator=torch.Generator().manual_seed(0))
    return DataLoader(train, batch_size, shuffle=True), DataLoader(validation, 512)


def network(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * channels * 16, 10),
    )


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, data: DataLoader, device: str) -> float:
    model.train()
    total = 0.0
    for images, labels in data:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
    return total / len(data.dataset)


@torch.no_grad()
def evaluate(model: nn.Module, data: DataLoader, device: str) -> tuple[float, float]:
    model.eval()
    loss = correct = 0.0
    for images, labels in data:
        scores, right = model(images.to(device)), labels.to(device)
        loss += nn.functional.cross_entropy(scores, right, reduction="sum").item()
        correct += (scores.argmax(1) == right).sum().item()
    return loss / len(data.dataset), correct / len(data.dataset)


def save(model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    CHECKPOINT.parent.mkdir(parents=True, exist_ok=True)
    new = CHECKPOINT.with_suffix(".new")
    torch.save({"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, new)
    # A rename: a kill while it is written leaves the checkpoint before it.
    new.replace(CHECKPOINT)


def load(model: nn.Module, optimizer: torch.optim.Optimizer, device: str) -> int:
    if not CHECKPOINT.exists():
        return 0
    saved = torch.load(CHECKPOINT, map_location=device)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    print(f"going on after epoch {saved['epoch']}")
    return saved["epoch"]


if __name__ == "__main__":
    main()
