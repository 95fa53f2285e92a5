"""Hugging Face's Trainer, which reports to W&B by itself."""

import os

import torch
import wandb
from transformers import Trainer, TrainerCallback, TrainingArguments
from truth import wrote


class Model(torch.nn.Module):
    """One layer."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, inputs, labels):
        given = self.layer(inputs).squeeze(-1)
        return {"loss": (given - labels).square().mean(), "logits": given}


class Truth(TrainerCallback):
    """Notes each loss that the Trainer logs."""

    def on_log(self, args, state, control, logs=None, **rest):
        for name, metric in (("loss", "train/loss"), ("eval_loss", "eval/loss")):
            if name in logs:
                wrote(wandb.run.id, metric, float(logs[name]))


torch.manual_seed(0)
data = [{"inputs": torch.randn(4), "labels": torch.randn(())} for _ in range(32)]
arguments = TrainingArguments(
    os.environ["RUNFERRY_CHECKPOINTS"],
    report_to="wandb",
    num_train_epochs=3,
    logging_steps=1,
    eval_strategy="epoch",
    save_strategy="no",
    use_cpu=True,
    disable_tqdm=True,
)
trainer = Trainer(Model(), arguments, train_dataset=data, eval_dataset=data[:8], callbacks=[Truth()])
trainer.train()
