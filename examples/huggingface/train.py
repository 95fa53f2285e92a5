"""Teach a small GPT-2 to add, with the Trainer of Hugging Face's Transformers and report_to="wandb".

The model is made from a configuration and the sums are made here: nothing is downloaded. The Trainer saves a checkpoint
after each epoch, and one when it is asked to stop (SIGTERM, which runferry sends before a job's time limit); started
again, it goes on from the newest.
"""

import os
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, HfArgumentParser, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

CHARACTERS = "0123456789+=\n"
CHECKPOINTS = os.environ.get("RUNFERRY_CHECKPOINTS", "checkpoints")


@dataclass
class Arguments:
    """Parameters of the sweep."""

    learning_rate: float = 1e-3
    num_train_epochs: float = 3
    layers: int = 2
    width: int = 64


def sums(count: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Make sums such as `27+05=032`, a token for each character."""
    numbers = random.Random(seed)
    pairs = [(numbers.randrange(100), numbers.randrange(100)) for _ in range(count)]
    texts = [f"{first:02}+{second:02}={first + second:03}\n" for first, second in pairs]
    tokens = [torch.tensor([CHARACTERS.index(character) for character in text]) for text in texts]
    # The loss is that of the answer alone: Transformers leaves out what is marked with -100.
    answer = torch.arange(len(texts[0])) > texts[0].index("=")
    return [{"input_ids": each, "labels": each.where(answer, -100)} for each in tokens]


def main() -> None:
    (arguments,) = HfArgumentParser(Arguments).parse_args_into_dataclasses()
    set_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(CHARACTERS),
            n_positions=16,
            n_embd=arguments.width,
            n_layer=arguments.layers,
            n_head=2,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=CHECKPOINTS,
            report_to="wandb",
            learning_rate=arguments.learning_rate,
            num_train_epochs=arguments.num_train_epochs,
            per_device_train_batch_size=64,
            per_device_eval_batch_size=256,
            logging_steps=10,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=2,
            enable_jit_checkpoint=True,
            disable_tqdm=True,
        ),
        train_dataset=sums(4000, seed=1),
        eval_dataset=sums(500, seed=2),
    )
    last = get_last_checkpoint(CHECKPOINTS) if Path(CHECKPOINTS).is_dir() else None
    trainer.train(resume_from_checkpoint=last)


if __name__ == "__main__":
    main()
